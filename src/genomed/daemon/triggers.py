"""Starts a bucket's job when its rule says so, and says why. Woken by the log and by time; asks the one readiness."""

import logging
from collections.abc import Callable

import anyio
from msgspec.structs import replace

from genomed.commands.bucket_state import BucketState, bucket_ids, bucket_state
from genomed.commands.context import Context
from genomed.commands.learning import start_learning
from genomed.daemon.journal.journal import Journal, Subscription
from genomed.daemon.observation.logs import bound
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.entities.bucket import Bucket
from genomed.entities.configuration_events import DaemonConfigured
from genomed.entities.envelope import Cause, Envelope, Write
from genomed.entities.errors import GenomeError, StreamConflict
from genomed.entities.experience_events import (
    ExamplesConsumed,
    ExamplesReturned,
    FeedbackGiven,
    InteractionCaptured,
    LearningAsked,
    TriggerHeldBack,
    TriggerSet,
)
from genomed.entities.guard_events import QuarantineDiscarded, QuarantineReleased
from genomed.entities.interaction import Interaction

log = logging.getLogger(__name__)

CAUSE = Cause(actor="trigger")

LOOK_EVERY_US = 200_000
"""The least time between two looks at one bucket."""

RETRY_US = 30_000_000
"""When a bucket is looked at again whose refusal could not even be written down."""


class Triggers:
    """One loop for all buckets. due: when time alone may make a bucket ready, in microseconds since 1970."""

    def __init__(
        self, journal: Journal, context: Callable[[], Context], now_us: Callable[[], int], *, spans: Spans = NO_SPANS
    ) -> None:
        self.following: Subscription | None = None
        self._spans = spans
        self._journal = journal
        self._context = context
        self._now_us = now_us
        self._due: dict[str, int] = {}
        self._looked: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled. At the start every bucket is looked at once."""
        subscription = self._journal.subscribe(self._journal.head().position)
        changed = set(await bucket_ids(self._context()))
        self.following = subscription
        while True:
            for bucket_id in sorted(changed):
                if not self._put_off(bucket_id):
                    await self._look_at(bucket_id)
            changed = set()
            news: list[Envelope] = []
            with anyio.move_on_after(self._seconds_to_next()):
                news = await subscription.next()
            for envelope in news:
                changed |= await self._touched(envelope)
            changed |= {one for one, at in self._due.items() if at <= self._now_us()}

    def _put_off(self, bucket_id: str) -> bool:
        """Counting a bucket costs as much as it holds: under a flood of captures it is counted now and then."""
        looked = self._looked.get(bucket_id, 0)
        again = looked + LOOK_EVERY_US
        if not looked <= self._now_us() < again:  # also when the clock was set back
            return False
        self._due[bucket_id] = again
        return True

    async def _touched(self, envelope: Envelope) -> set[str]:
        match envelope.event:
            case InteractionCaptured(bucket_id=bucket_id):
                return {bucket_id}
            case FeedbackGiven() | QuarantineReleased() | QuarantineDiscarded():
                state = (await self._journal.load(envelope.stream)).state
                return {state.bucket_id} if isinstance(state, Interaction) else set()
            case TriggerSet() | ExamplesConsumed() | ExamplesReturned() | LearningAsked():
                return {envelope.stream.partition("/")[2]}
            case DaemonConfigured():  # the rule of buckets without one of their own may be another
                return set(await bucket_ids(self._context()))
            case _:
                return set()

    def _seconds_to_next(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, (min(self._due.values()) - self._now_us()) / 1_000_000)

    async def _look_at(self, bucket_id: str) -> None:
        """The rim of one bucket: what nobody foresaw there must not end the others' triggers, nor the daemon."""
        try:
            await self._consider(bucket_id)
        except Exception:
            log.exception("unforeseen error bucket=%s", bucket_id)
            self._due[bucket_id] = self._now_us() + RETRY_US

    async def _consider(self, bucket_id: str) -> None:
        self._due.pop(bucket_id, None)
        self._looked[bucket_id] = self._now_us()
        context = self._context()
        bucket = (await self._journal.load(f"bucket/{bucket_id}")).state
        rule = bucket.rule if isinstance(bucket, Bucket) and bucket.rule is not None else context.default_rule
        if not rule.enabled:
            return
        state = await bucket_state(context, bucket_id)
        readiness = state.readiness
        if readiness.check_again_us is not None:
            self._due[bucket_id] = readiness.check_again_us
        if readiness.ready:
            with bound(bucket=bucket_id, persona=state.key.persona_id):
                await self._fire(context, state)

    async def _fire(self, context: Context, state: BucketState) -> None:
        """Start the job. What refuses it is written down once, so that the bucket does not ask again and again."""
        try:
            with self._spans.step("trigger", (), {"genomed.bucket": state.bucket_id}) as span:
                decided = await start_learning(
                    context, state, code=state.readiness.code, reason=state.readiness.reason, origin="trigger"
                )
                cause = replace(CAUSE, correlation_id=span.traceparent)
                await self._journal.append(decided.writes, cause=cause, blobs=decided.blobs)
            log.info("trigger fired bucket=%s job=%s", state.bucket_id, decided.result.job_id)
        except StreamConflict:
            self._due[state.bucket_id] = self._now_us()
        except GenomeError as error:
            log.warning("trigger held back bucket=%s kind=%s", state.bucket_id, error.kind)
            await self._hold_back(state, error.message)

    async def _hold_back(self, state: BucketState, message: str) -> None:
        held = TriggerHeldBack(bucket=state.key, message=message, through_position=state.counts.through_position)
        write = Write(stream=f"bucket/{state.bucket_id}", expected=state.version, events=(held,))
        try:
            await self._journal.append([write], cause=CAUSE)
        except StreamConflict:
            self._due[state.bucket_id] = self._now_us()
        except GenomeError as refused:  # a log that takes nothing now must not end the daemon, which can still be read
            log.warning("could not hold back bucket=%s error=%s", state.bucket_id, refused.message)
            self._due[state.bucket_id] = self._now_us() + RETRY_US
