"""A configured model through the real SDK against a server on the loopback: what is sent, read, and told of trouble."""

from collections.abc import AsyncIterator

import pytest
from tests.adapters.plain_secrets import PlainSecrets
from tests.emulators.llm_server import KEY, LLMServer, llm_server, vector

from genomed.adapters.models import ModelClient
from genomed.entities.errors import (
    BudgetExceeded,
    Forbidden,
    GenomeError,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    ProviderRejected,
    Transient,
)
from genomed.entities.language_model import LostAnswer, ModelSettings, Unreached
from genomed.entities.recipe_port import Completion
from genomed.entities.rows import Message

HELLO = [Message(role="system", content="be brief"), Message(role="user", content="hello there")]


@pytest.fixture
async def server() -> AsyncIterator[LLMServer]:
    async with llm_server(lambda prompt: f"you said {prompt}") as server:
        server.requires_key = True
        yield server


def client_of(server: LLMServer, **more: object) -> ModelClient:
    settings = {"base_url": server.base_url, "model": "fake-1", "embedding_model": "fake-e", "api_key": "env:KEY"}
    whole = ModelSettings(**(settings | more))  # type: ignore[arg-type]  # a test names any field
    return ModelClient("small", whole, PlainSecrets({"env:KEY": KEY, "env:OLD": "an-old-key-0123456789"}))


async def asked(client: ModelClient, **more: object) -> Completion:
    given: dict[str, object] = {"temperature": 0.25, "max_tokens": 7, "as_json": True, "stop": ["END"]}
    try:
        return await client.chat(HELLO, **(given | more))  # type: ignore[arg-type]  # as above
    finally:
        await client.close()


async def test_everything_that_was_asked_for_is_sent_and_everything_that_came_is_told(server: LLMServer) -> None:
    told = await asked(client_of(server))
    [sent] = server.asked
    assert sent.body == {
        "model": "fake-1",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello there"}],
        "temperature": 0.25,
        "max_tokens": 7,
        "response_format": {"type": "json_object"},
        "stop": ["END"],
    }
    assert (sent.key, told.text, told.finish_reason) == (KEY, "you said hello there", "stop")
    assert (told.prompt_tokens, told.completion_tokens, told.model) == (4, 4, "fake-1")


async def test_a_server_with_other_names_or_without_json_mode_is_sent_what_it_knows(server: LLMServer) -> None:
    client = client_of(server, max_tokens_field="max_completion_tokens", json_mode=False)
    await asked(client, stop=[])
    [sent] = server.asked
    assert set(sent.body) == {"model", "messages", "temperature", "max_completion_tokens"}


async def test_tokens_that_nobody_counted_are_null(server: LLMServer) -> None:
    server.trouble("no_usage")
    told = await asked(client_of(server))
    assert (told.prompt_tokens, told.completion_tokens) == (None, None)


@pytest.mark.parametrize(
    ("code", "word", "kind"),
    [
        (400, None, ProviderRejected),
        (402, None, BudgetExceeded),
        (403, None, Forbidden),
        (404, None, NotFound),
        (408, None, Transient),
        (409, None, Transient),
        (422, None, ProviderRejected),
        (429, None, Transient),
        (429, "insufficient_quota", BudgetExceeded),
        (500, None, Transient),
        (529, None, Transient),
    ],
)
async def test_a_refusal_is_told_by_its_kind_after_one_request(
    server: LLMServer, code: int, word: str | None, kind: type[GenomeError]
) -> None:
    server.trouble("status", code=code, word=word, retry_after="17")
    with pytest.raises(kind, match=f"models.small answered {code}") as refused:
        await asked(client_of(server))
    assert len(server.asked) == 1, "the SDK asked again by itself"
    if isinstance(refused.value, Transient):
        assert refused.value.retry_after_s == 17
        assert not isinstance(refused.value, LostAnswer)


@pytest.mark.parametrize(("kind", "error"), [("reset", LostAnswer), ("cut", LostAnswer), ("empty", MalformedResponse)])
async def test_what_was_sent_and_not_answered_whole_is_told_apart(
    server: LLMServer, kind: str, error: type[GenomeError]
) -> None:
    server.trouble(kind)
    with pytest.raises(error):
        await asked(client_of(server))
    assert len(server.asked) == 1


async def test_a_server_that_is_not_there_is_transient_and_nothing_was_sent(server: LLMServer) -> None:
    await server.stop()
    with pytest.raises(Unreached):
        await asked(client_of(server))


async def test_a_slow_answer_is_given_up_after_the_models_own_time(server: LLMServer) -> None:
    server.hold()
    with pytest.raises(LostAnswer):
        await asked(client_of(server, timeout_s=2))


async def test_an_old_key_is_refused_and_never_repeated(server: LLMServer) -> None:
    with pytest.raises(MissingCredentials) as refused:
        await asked(client_of(server, api_key="env:OLD"))
    assert "an-old-key" not in str(refused.value)
    assert refused.value.remedy is not None
    with pytest.raises(MissingCredentials, match="env:NONE is not set"):
        await asked(client_of(server, api_key="env:NONE"))
    assert len(server.asked) == 1


async def test_vectors_come_in_the_order_of_the_texts_whatever_order_the_server_has(server: LLMServer) -> None:
    client = client_of(server)
    try:
        told = await client.embed(["one", "two", "three"])
    finally:
        await client.close()
    assert [list(one) for one in told.vectors] == [vector("one"), vector("two"), vector("three")]
    assert told.tokens == 3
