"""An announced end warns while there is time, refuses new jobs afterwards, and tells what becomes of a model."""

import pytest

from genomed.entities.capabilities import ProviderCapabilities, Sunset
from genomed.entities.sunset import sunset_of

ENDING = ProviderCapabilities(
    provider="openai",
    available=True,
    sunset=Sunset(
        message="self-serve fine-tuning closes",
        source="its deprecations page",
        last_new_job="2027-01-06",
        models={"gpt-4": "2027-01-14", "gpt-4.1-nano": "2028-06-01"},
    ),
)


def test_a_provider_without_an_end_is_not_spoken_of() -> None:
    told = sunset_of(ProviderCapabilities(provider="local", available=True), "tiny", today="2026-11-21")
    assert (told.errors, told.warnings) == ((), ())


@pytest.mark.parametrize(("today", "refused"), [("2026-11-21", False), ("2027-01-06", False), ("2027-01-07", True)])
def test_the_last_day_for_new_jobs_is_still_one(today: str, refused: bool) -> None:
    told = sunset_of(ENDING, "other", today=today)
    assert told.valid is not refused
    [said] = told.errors if refused else told.warnings
    assert (said.field, "2027-01-06" in said.message, "job-migrate" in (said.remedy or "")) == ("provider", True, True)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt-4.1-nano-2025-04-14", "end to be served after 2028-06-01"),
        ("gpt-4o", "end to be served after 2027-01-14"),
        ("other", None),
    ],
)
def test_the_end_of_a_model_is_a_warning_and_the_longest_name_decides(model: str, said: str | None) -> None:
    about = [p for p in sunset_of(ENDING, model, today="2026-11-21").warnings if p.field != "provider"]
    assert [p.field for p in about] == (["configuration.model.baseModel"] if said else [])
    assert all(said in p.message for p in about if said)


def test_an_end_without_a_last_day_is_a_warning() -> None:
    able = ProviderCapabilities(provider="mistral", available=True, sunset=Sunset(message="deprecated", source="docs"))
    told = sunset_of(able, "open-mistral-7b", today="2030-01-01")
    assert (told.valid, [p.message for p in told.warnings]) == (True, ["deprecated (docs)"])
