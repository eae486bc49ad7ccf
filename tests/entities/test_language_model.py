"""What a model costs, and what it can cost at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.language_model import ModelSettings, prompt_bound, settings_complaints
from genomed.entities.rows import Message

FAR = "https://models.example/v1"


def test_a_price_is_known_free_or_null_and_never_guessed() -> None:
    assert ModelSettings(base_url=FAR, model="m").usd(1000, 1000) is None
    assert ModelSettings(base_url=FAR, model="m", free=True).usd(1000, 1000) == 0
    assert ModelSettings(base_url="http://127.0.0.1:1/v1", model="m").usd(1000, 1000) == 0
    priced = ModelSettings(base_url=FAR, model="m", prompt_usd_per_million=2.0, completion_usd_per_million=8.0)
    assert priced.usd(1_000_000, 500_000) == pytest.approx(6.0)


@given(st.lists(st.text(max_size=50), max_size=5))
def test_a_bound_has_room_for_a_token_for_each_byte(texts: list[str]) -> None:
    messages = [Message(role="user", content=text) for text in texts]
    try:
        size = sum(len(text.encode()) for text in texts)
    except UnicodeEncodeError:
        return
    assert prompt_bound(messages) >= size + len(texts)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (ModelSettings(base_url=FAR), "model"),
        (ModelSettings(base_url=FAR, model="m", prompt_usd_per_million=1.0), "completion_usd_per_million"),
        (ModelSettings(base_url=FAR, model="m", completion_usd_per_million=1.0), "prompt_usd_per_million"),
        (
            ModelSettings(
                base_url=FAR, model="m", free=True, prompt_usd_per_million=1.0, completion_usd_per_million=1.0
            ),
            "free",
        ),
    ],
)
def test_settings_that_contradict_themselves_are_told(settings: ModelSettings, field: str) -> None:
    assert [at for at, _ in settings_complaints(settings)] == [field]


def test_an_encoder_needs_one_price_only() -> None:
    assert settings_complaints(ModelSettings(base_url=FAR, embedding_model="e", prompt_usd_per_million=1.0)) == []
