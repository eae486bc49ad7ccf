"""What a recipe asks through: one question at a time of one work item, paced, retried, counted and paid for.

Knows models and the run's purse. Knows nothing of recipes, rows or the log.
"""

import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from genomed.daemon.recipe_engine.models import Model
from genomed.entities.errors import BudgetExceeded, GenomeError, MalformedResponse, Transient
from genomed.entities.language_model import Embedded, LostAnswer, Unreached, prompt_bound, texts_bound
from genomed.entities.pacing import retry_wait_s
from genomed.entities.recipe_events import RunBudget
from genomed.entities.recipe_port import Completion
from genomed.entities.recipe_purse import (
    Bound,
    Cost,
    Need,
    Purse,
    begun,
    came_back,
    need_of,
    never_sent,
    objection,
    purse_of,
)
from genomed.entities.rows import Message

log = logging.getLogger(__name__)

T = TypeVar("T")

TEXTS_AT_ONCE = 256
"""In one request for embeddings; servers take from hundreds to thousands."""


class PurseEmpty(BudgetExceeded):
    """The run's own budget admits no further request."""


class RunPurse:
    """A run's purse among its workers. total: of everything asked so far, what finished before the start included.

    away: models that did not answer when they were last asked, and what was said of each.
    """

    def __init__(self, purse: Purse, spent: Cost) -> None:
        self.purse = purse
        self.total = spent
        self.away: dict[str, str] = {}
        self._changed = anyio.Event()

    @asynccontextmanager
    async def request(self, bound: Bound) -> AsyncIterator["_Request"]:
        """Waits while what is under way may still leave room. Raises PurseEmpty where it cannot."""
        while (against := objection(self.purse, bound)) is not None:
            if not against.may_pass:
                raise PurseEmpty(against.reason)
            await self._changed.wait()
        self.purse = begun(self.purse, bound)
        request = _Request()
        try:
            yield request
        finally:
            self._came_back(bound, request)
            self._changed.set()
            self._changed = anyio.Event()

    def _came_back(self, bound: Bound, request: "_Request") -> None:
        if not request.sent:
            self.purse = never_sent(self.purse, bound)
            return
        cost = request.cost
        tokens, usd = (None, None) if cost is None else (cost.tokens, cost.usd)
        self.purse = came_back(self.purse, bound, tokens=tokens, usd=usd)
        self.total += cost or Cost(requests=1)


class Purses:
    """One purse for each run, as long as the daemon lives: its workers and the tries at its rejected rows share it."""

    def __init__(self) -> None:
        self._purses: dict[str, RunPurse] = {}

    def of(self, run_id: str, budget: RunBudget, spent: Cost) -> RunPurse:
        """spent: as the log has it, where this daemon has asked nothing for this run yet."""
        if run_id not in self._purses:
            self._purses[run_id] = RunPurse(purse_of(budget, spent), spent)
        return self._purses[run_id]

    def waiting(self, run_id: str) -> str | None:
        """What an open run waits for: its models that do not answer."""
        purse = self._purses.get(run_id)
        return None if purse is None or not purse.away else "; ".join(purse.away.values())


class _Request:
    """cost: what it took, once that is known; null: it was sent, and nobody told."""

    def __init__(self) -> None:
        self.sent = False
        self.cost: Cost | None = None


class Bill:
    """What one work item took. begun: its requests at their bounds. over: set once nobody waits for it any more."""

    def __init__(self, over: anyio.Event | None = None) -> None:
        self.cost = Cost()
        self.begun = Need()
        self.over = over or anyio.Event()


class Questions:
    """Questions to one model for one work item: asked until they are answered.

    A server that is away says nothing about the question: it is waited for, as long as it takes.
    """

    def __init__(self, model: Model, purse: RunPurse, bill: Bill) -> None:
        self.model, self._purse, self._bill = model, purse, bill

    async def answered(self, asked: Callable[[], Awaitable[tuple[T, Cost]]], bound: Bound) -> T:
        """Raises PurseEmpty, what no retry cures, the last trouble, or Unreached once the bill is over."""
        troubles = absences = 0
        while True:
            try:
                return await self._once(asked, bound)
            except Unreached as away:
                absences += 1
                await self._wait_for_it(away, absences)
            except (Transient, MalformedResponse) as trouble:
                absences = 0
                troubles += 1
                if troubles >= self.model.settings.tries:
                    raise
                await self._wait_out(trouble, troubles)

    async def _once(self, asked: Callable[[], Awaitable[tuple[T, Cost]]], bound: Bound) -> T:
        async with self._purse.request(bound) as request, self.model.gate.turn():
            request.sent = True
            self._bill.begun += need_of(bound)
            try:
                answer, request.cost = await asked()
            except Unreached as away:
                request.sent = False
                self._bill.begun = self._bill.begun.left_after(need_of(bound))
                self._away(away)
                raise
            except GenomeError as trouble:
                self._back()
                if not isinstance(trouble, LostAnswer | MalformedResponse):
                    request.cost = Cost(requests=1)
                self._bill.cost += Cost(requests=1)
                raise
            self._back()
            self._bill.cost += request.cost
            return answer

    def _away(self, trouble: Unreached) -> None:
        if self.model.name not in self._purse.away:
            log.warning("model does not answer model=%s error=%s", self.model.name, trouble.message)
        self._purse.away[self.model.name] = f"{self.model.name} does not answer: {trouble.message}"

    def _back(self) -> None:
        if self._purse.away.pop(self.model.name, None) is not None:
            log.info("model answers again model=%s", self.model.name)

    async def _wait_for_it(self, away: Unreached, absences: int) -> None:
        first_s = self.model.settings.retry_s
        with anyio.move_on_after(retry_wait_s(absences, first_s=first_s, hint_s=None, dice=random.random)):
            await self._bill.over.wait()
        if self._bill.over.is_set():
            raise away

    async def _wait_out(self, trouble: GenomeError, troubles: int) -> None:
        hint_s = trouble.retry_after_s if isinstance(trouble, Transient) else None
        if hint_s is not None:
            self.model.gate.quiet(hint_s)
        first_s = self.model.settings.retry_s
        await anyio.sleep(retry_wait_s(troubles, first_s=first_s, hint_s=hint_s, dice=random.random))

    def cost(self, prompt: int | None, completion: int | None) -> Cost:
        usd = None if prompt is None or completion is None else self.model.settings.usd(prompt, completion)
        return Cost(requests=1, prompt_tokens=prompt, completion_tokens=completion, usd=usd)


class Asker:
    """Fulfils recipe_port.Asking."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def __call__(
        self,
        messages: Sequence[Message],
        *,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        as_json: bool = False,
        stop: Sequence[str] = (),
    ) -> Completion:
        model = self._questions.model
        longest = min(max_tokens, model.settings.max_tokens or max_tokens)
        prompt = prompt_bound(messages)
        bound = Bound(tokens=prompt + longest, usd=model.settings.usd(prompt, longest))

        async def asked() -> tuple[Completion, Cost]:
            answer = await model.client.chat(
                messages, temperature=temperature, max_tokens=longest, as_json=as_json, stop=stop
            )
            return answer, self._questions.cost(answer.prompt_tokens, answer.completion_tokens)

        return await self._questions.answered(asked, bound)


class Encoder:
    """Fulfils recipe_port.Encoding."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def __call__(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        vectors: list[tuple[float, ...]] = []
        for at in range(0, len(texts), TEXTS_AT_ONCE):
            vectors += await self._some(texts[at : at + TEXTS_AT_ONCE])
        return vectors

    async def _some(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        model, tokens = self._questions.model, texts_bound(texts)
        bound = Bound(tokens=tokens, usd=model.settings.usd(tokens, 0))

        async def asked() -> tuple[Embedded, Cost]:
            answer = await model.client.embed(texts)
            return answer, self._questions.cost(answer.tokens, 0)

        return [_unit(vector) for vector in (await self._questions.answered(asked, bound)).vectors]


def _unit(vector: tuple[float, ...]) -> tuple[float, ...]:
    """Raises ValueError for a vector that points nowhere."""
    length = math.sqrt(math.fsum(number * number for number in vector))
    if not 0 < length < math.inf:
        raise ValueError("an encoder answered a vector without a direction")
    return tuple(number / length for number in vector)
