"""One configured model through the `openai` SDK, which is imported in a thread when it is first asked.

Retries are off: whether to ask again is the engine's to decide. Failures are typed, and no text that leaves here holds
the key. Knows nothing of recipes, rates or budgets.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar, cast

import anyio
import msgspec
from anyio import to_thread

from genomed.adapters._answers import DAILY, Refusal, raise_for_reading, refusal
from genomed.adapters.models.answers import ChatAnswer, EmbeddingAnswer
from genomed.entities.errors import BudgetExceeded, MalformedResponse, Transient, Unsupported
from genomed.entities.language_model import Embedded, LostAnswer, ModelSettings, Unreached
from genomed.entities.ports import Secrets
from genomed.entities.recipe_port import Completion
from genomed.entities.rows import Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

T = TypeVar("T")

NO_KEY = "none"
"""Sent to servers that ask for no key: the SDK does not go without one."""


class Raw(Protocol):
    """An answer as the SDK hands it out before it reads it."""

    @property
    def content(self) -> bytes: ...


Question = Callable[["AsyncOpenAI"], Awaitable[Raw]]


class ModelClient:
    """name: of its section in the configuration, for messages. Methods raise Transient (Unreached where nothing was
    sent, LostAnswer where no whole answer came), MissingCredentials, Forbidden, NotFound, BudgetExceeded,
    ProviderRejected, Unsupported or MalformedResponse.
    """

    def __init__(self, name: str, settings: ModelSettings, secrets: Secrets) -> None:
        self._name, self._settings, self._secrets = f"models.{name}", settings, secrets
        self._opening = anyio.Lock()
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"ModelClient({self._name}, {self._settings.base_url})"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def chat(
        self, messages: Sequence[Message], *, temperature: float, max_tokens: int, as_json: bool, stop: Sequence[str]
    ) -> Completion:
        model = self._settings.model or ""
        extra: dict[str, object] = {self._settings.max_tokens_field: max_tokens, "temperature": temperature}
        if as_json and self._settings.json_mode:
            extra["response_format"] = {"type": "json_object"}
        if stop:
            extra["stop"] = list(stop)
        asked = [msgspec.to_builtins(message) for message in messages]
        answer = await self._read(
            lambda client: client.chat.completions.with_raw_response.create(
                model=model, messages=cast("list[ChatCompletionMessageParam]", asked), extra_body=extra
            ),
            ChatAnswer,
        )
        if not answer.choices or answer.choices[0].message.content is None:
            raise MalformedResponse(f"{self._name} answered without a text", provider=self._name)
        usage = answer.usage
        return Completion(
            text=answer.choices[0].message.content,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            model=answer.model or model,
            finish_reason=answer.choices[0].finish_reason,
        )

    async def embed(self, texts: Sequence[str]) -> Embedded:
        model = self._settings.embedding_model or ""
        answer = await self._read(
            lambda client: client.embeddings.with_raw_response.create(
                model=model, input=list(texts), encoding_format="float"
            ),
            EmbeddingAnswer,
        )
        vectors = {one.index: one.embedding for one in answer.data}
        sizes = {len(vector) for vector in vectors.values()}
        if set(vectors) != set(range(len(texts))) or len(sizes) != 1 or 0 in sizes:
            raise MalformedResponse(f"{self._name} answered {len(answer.data)} vectors to {len(texts)} texts")
        tokens = answer.usage.prompt_tokens if answer.usage else None
        return Embedded(vectors=[vectors[at] for at in range(len(texts))], tokens=tokens)

    async def _read(self, question: Question, wanted: type[T]) -> T:
        client = await self._opened()
        import httpx2
        from openai import APIConnectionError, APIStatusError

        try:
            content = (await question(client)).content
        except APIStatusError as refused:
            headers = {name.lower(): value for name, value in refused.response.headers.items()}
            said = refused.response.content
            self._refuse(refusal(refused.status_code, headers, said, redact=self._secrets.redact))
        except APIConnectionError as broken:
            cause = broken.__cause__
            message = self._secrets.redact(f"{self._settings.base_url}: {broken.message} ({cause!r})")
            if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
                raise Unreached(message, provider=self._name) from None
            raise LostAnswer(message, provider=self._name) from None
        try:
            return msgspec.json.decode(content, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            problem = f"{self._name} answered something that we cannot read: {wrong}"
            raise MalformedResponse(problem, provider=self._name) from None

    def _refuse(self, told: Refusal) -> NoReturn:
        """Here, unlike where something is trained, 409 passes, and an empty account does not within any short wait."""
        sentence = f"{self._name} answered {told.status}: {told.message}"
        if told.status == 402 or (told.status == 429 and any(word in (told.code or "") for word in DAILY)):
            raise BudgetExceeded(sentence, provider=self._name, remedy="look into the account's billing and quota")
        if told.status == 409:
            raise Transient(sentence, retry_after_s=told.retry_after_s, provider=self._name)
        raise_for_reading(told, self._name)

    async def _opened(self) -> "AsyncOpenAI":
        async with self._opening:
            if self._client is None:
                self._client = await to_thread.run_sync(self._open)
            return self._client

    def _open(self) -> "AsyncOpenAI":
        """Importing the SDK, and reading the system's certificates, takes a second and a thread."""
        try:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient
        except ImportError as missing:
            raise Unsupported(
                f"recipes ask language models through the openai SDK, which cannot be imported: {missing}",
                provider=self._name,
                remedy="install genomed[openai] into the daemon's environment, then restart it",
            ) from None
        for chatty in ("httpx", "httpx2"):  # a line for every request, with its address
            logging.getLogger(chatty).setLevel(logging.WARNING)
        settings = self._settings
        client = AsyncOpenAI(
            api_key=self._key,
            base_url=settings.base_url,
            max_retries=0,
            timeout=settings.timeout_s,
            http_client=DefaultAsyncHttpxClient(timeout=settings.timeout_s, follow_redirects=False),
        )
        # Whatever the daemon's environment says of these: the settings decide.
        client.organization, client.project, client.admin_api_key = None, None, None
        _ = client.chat.completions.with_raw_response, client.embeddings.with_raw_response  # imports, in this thread
        return client

    async def _key(self) -> str:
        """Asked before every request, so that a changed key is used at once. Raises MissingCredentials."""
        return NO_KEY if self._settings.api_key is None else await self._secrets.reveal(self._settings.api_key)
