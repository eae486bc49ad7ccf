"""Has results deleted at their providers: one small loop per open withdrawal, woken by its wish and by time.

The wish is in the log before the call, and deleting what is gone is harmless: so it is asked until it is done.
"""

import logging
import random
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.courier.rounds import Round
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.logs import bound
from genomed.entities.deployment_events import LayerWithdrawalRequested, LayerWithdrawalTroubled, LayerWithdrawn
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errors import Capacity, ErrorKind, GenomeError, Internal, Transient, Unsupported
from genomed.entities.layer import Layer, Withdrawal
from genomed.entities.ports import Provider

log = logging.getLogger(__name__)

ACTOR = "daemon"
OPEN = "SELECT layer_id FROM withdrawals WHERE open ORDER BY layer_id"


class Withdrawals:
    """interval_s: seconds between questions of a provider, asked anew each time."""

    def __init__(
        self,
        journal: Journal,
        provider_of: Callable[[str], Provider],
        *,
        interval_s: Callable[[str], float],
    ) -> None:
        self._journal = journal
        self._provider_of = provider_of
        self._interval_s = interval_s
        self._followed: set[str] = set()

    async def run(self) -> None:
        """Until cancelled. Every open withdrawal has its loop; new ones get theirs as the log grows."""
        async with anyio.create_task_group() as tasks:
            position = self._journal.head().position
            for (layer_id,) in await self._journal.query(OPEN):
                self._follow(tasks, str(layer_id))
            subscription = self._journal.subscribe(position)
            while True:
                for envelope in await subscription.next():
                    if isinstance(envelope.event, LayerWithdrawalRequested):
                        self._follow(tasks, envelope.stream.partition("/")[2])

    def _follow(self, tasks: TaskGroup, layer_id: str) -> None:
        if layer_id not in self._followed:
            self._followed.add(layer_id)
            tasks.start_soon(self._follow_to_the_end, layer_id)

    async def _follow_to_the_end(self, layer_id: str) -> None:
        waiting = Round()
        while True:
            layer, withdrawal = await self._at(layer_id)
            if withdrawal.withdrawn_us is not None:
                break
            interval_s = self._interval_s(layer.published.provider)
            waiting.pace = Pace(interval_s=interval_s, troubles=waiting.pace.troubles)
            with bound(layer=layer_id, provider=layer.published.provider, persona=layer.published.persona_id):
                await self._turn(layer_id, layer, withdrawal, waiting)
        self._followed.discard(layer_id)

    async def _turn(self, layer_id: str, layer: Layer, withdrawal: Withdrawal, waiting: Round) -> None:
        """What refuses to be asked is noted once and asked again: a person may mend it there."""
        provider = layer.published.provider
        try:
            await self._remove(provider, withdrawal.model)
            await self._record(layer_id, LayerWithdrawn(model=withdrawal.model))
        except (Transient, Capacity) as error:
            log.warning("provider trouble layer=%s provider=%s error=%s", layer_id, provider, error)
            await self._wait_out(waiting, error.retry_after_s if isinstance(error, Transient) else None)
        except Exception as error:
            log.exception("withdrawal in trouble layer=%s", layer_id)
            await self._trouble(layer_id, withdrawal, error)
            await self._wait_out(waiting, None)

    async def _remove(self, provider: str, model: str) -> None:
        """Raises Unsupported where the provider serves no more, as after a change of the configuration."""
        serving = self._provider_of(provider).serving
        if serving is None:
            raise Unsupported(f"{provider} deletes nothing here now", provider=provider)
        await serving.remove(model)

    async def _trouble(self, layer_id: str, withdrawal: Withdrawal, error: Exception) -> None:
        """Noted once for as long as it lasts, so that a person can see why it does not go."""
        kind = error.kind if isinstance(error, GenomeError) else ErrorKind.INTERNAL
        message = error.message if isinstance(error, GenomeError) else f"{type(error).__name__}: {error}"
        if withdrawal.trouble == message:
            return
        try:
            await self._record(layer_id, LayerWithdrawalTroubled(kind=kind, message=message))
        except GenomeError as refused:
            log.warning("could not note the trouble layer=%s error=%s", layer_id, refused.message)

    async def _wait_out(self, waiting: Round, hint_s: float | None) -> None:
        waiting.pace = Pace(interval_s=waiting.pace.interval_s, troubles=waiting.pace.troubles + 1)
        await waiting.listen(wait_s(waiting.pace, hint_s=hint_s, dice=random.random))

    async def _record(self, layer_id: str, event: LayerWithdrawalTroubled | LayerWithdrawn) -> None:
        """Facts, at any version of the layer: only this loop writes them."""
        write = Write(stream=f"layer/{layer_id}", expected=ANY_VERSION, events=(event,))
        await self._journal.append([write], cause=Cause(actor=ACTOR, correlation_id=layer_id))

    async def _at(self, layer_id: str) -> tuple[Layer, Withdrawal]:
        state = (await self._journal.load(f"layer/{layer_id}")).state
        if not isinstance(state, Layer) or state.withdrawal is None:
            raise Internal(f"the withdrawal of layer {layer_id} is not in the log")
        return state, state.withdrawal
