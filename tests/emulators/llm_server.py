"""A language model on the loopback: scripted answers, every kind of trouble, slow ones, and a count of every question.

Speaks OpenAI's chat completions and embeddings. Knows nothing of genomed.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from aiohttp import web
from msgspec import Struct

KEY = "fake-llm-key-0123456789"
VECTOR_SIZE = 8

Script = Callable[[str], str]
"""The answer to a prompt: the text of its last message."""


class Asked(Struct, kw_only=True):
    """One request. prompt: of the last message, or all texts of an embedding. status: what was answered; 0: nothing."""

    kind: str
    prompt: str
    model: str
    body: dict[str, Any]
    key: str
    status: int = 0


class Trouble(Struct, frozen=True, kw_only=True):
    """kind: status, reset, cut, empty, no_usage, or unreadable (a text that is no answer to the question)."""

    kind: str
    code: int = 500
    retry_after: str | None = None
    word: str | None = None
    only: str | None = None


class LLMServer:
    """asked: every request in the order of arrival. answers: how often each prompt was answered well.

    hold: answers wait until `release`, but for some that it lets through. most_at_once: the most requests that were
    there together.
    """

    def __init__(self, script: Script, *, delay_s: float = 0.0) -> None:
        self.script = script
        self.delay_s = delay_s
        self.asked: list[Asked] = []
        self.answers: Counter[str] = Counter()
        self.most_at_once = 0
        self.requires_key = False
        self._troubles: list[tuple[Trouble, int]] = []
        self._at_once = 0
        self._open = anyio.Event()
        self._open.set()
        self._let_through = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def prompts(self) -> Counter[str]:
        """How often each prompt arrived, answered or not."""
        return Counter(one.prompt for one in self.asked)

    def trouble(
        self,
        kind: str,
        *,
        times: int = 1,
        code: int = 500,
        retry_after: str | None = None,
        word: str | None = None,
        only: str | None = None,
    ) -> None:
        """The next `times` requests meet it. only: those whose prompt holds this."""
        fault = Trouble(kind=kind, code=code, retry_after=retry_after, word=word, only=only)
        self._troubles.append((fault, times))

    def hold(self, *, but: int = 0) -> None:
        """but: so many requests from now on are answered nevertheless. Who waits since an earlier hold is answered."""
        self._open.set()
        self._open, self._let_through = anyio.Event(), but

    def release(self) -> None:
        self._open.set()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Nobody listens until `start`, which takes the same port again."""
        self._open.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        return await self._answered(request, "chat", str(body["messages"][-1]["content"]), body)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        return await self._answered(request, "embeddings", "\n".join(body["input"]), body)

    async def _answered(self, request: web.Request, kind: str, prompt: str, body: dict[str, Any]) -> web.StreamResponse:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = Asked(kind=kind, prompt=prompt, model=str(body.get("model")), body=body, key=key)
        self.asked.append(asked)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.requires_key and key != KEY:
                return self._said(asked, 401, _error("no such key", "invalid_api_key"))
            trouble = self._take(prompt)
            if self._let_through:
                self._let_through -= 1
            else:
                await self._open.wait()
            await anyio.sleep(self.delay_s)
            if trouble is not None and trouble.kind == "status":
                headers = {} if trouble.retry_after is None else {"Retry-After": trouble.retry_after}
                return self._said(asked, trouble.code, _error(f"emulated {trouble.code}", trouble.word), headers)
            if trouble is not None and trouble.kind in ("reset", "cut"):
                return await self._break(request, trouble.kind)
            answer = self._chat_answer(asked, trouble) if kind == "chat" else self._vectors(asked)
            if trouble is None or trouble.kind == "no_usage":
                self.answers[prompt] += 1
            return self._said(asked, 200, answer)
        finally:
            self._at_once -= 1

    def _take(self, prompt: str) -> Trouble | None:
        for place, (trouble, left) in enumerate(self._troubles):
            if trouble.only is None or trouble.only in prompt:
                self._troubles[place : place + 1] = [(trouble, left - 1)] if left > 1 else []
                return trouble
        return None

    def _said(
        self, asked: Asked, status: int, body: object, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        asked.status = status
        return web.Response(
            status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers
        )

    async def _break(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        if kind == "cut":
            await response.prepare(request)
            await response.write(b'{"choices": [{"message": {"con')
        if request.transport is not None:
            request.transport.abort()
        return response

    def _chat_answer(self, asked: Asked, trouble: Trouble | None) -> dict[str, Any]:
        text = "well, who knows" if trouble is not None and trouble.kind == "unreadable" else self.script(asked.prompt)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        answer: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.model,
            "choices": [] if trouble is not None and trouble.kind == "empty" else [choice],
        }
        if trouble is None or trouble.kind != "no_usage":
            prompt = sum(len(str(message["content"]).split()) for message in asked.body["messages"])
            answer["usage"] = usage(prompt, len(text.split()))
        return answer

    def _vectors(self, asked: Asked) -> dict[str, Any]:
        """The same text has the same vector, of any length."""
        texts = asked.body["input"]
        data = [{"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(texts)]
        data.reverse()  # the index says which is which, not the order
        return {"object": "list", "model": asked.model, "data": data, "usage": usage(len(asked.prompt.split()), 0)}


async def _body(request: web.Request) -> dict[str, Any]:
    """Raises HTTPException where whoever asked was killed on the way."""
    try:
        return dict(msgspec.json.decode(await request.read()))
    except ConnectionResetError:
        raise web.HTTPBadRequest from None


def vector(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 64 - 2 for byte in digest[:VECTOR_SIZE]]


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _error(message: str, word: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": word or "emulated_error", "param": None, "code": word}}


@asynccontextmanager
async def llm_server(script: Script, *, delay_s: float = 0.0) -> AsyncIterator[LLMServer]:
    server = LLMServer(script, delay_s=delay_s)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
