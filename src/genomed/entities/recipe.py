"""A recipe's run: what its stream says, how far it is, when it ends and as what. Pure: the clock is passed in.

Knows counts and reasons; rows and prompts are not known here.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.errors import ErrorBody
from genomed.entities.recipe_events import RecipeCancelRequested, RecipeEnded, RecipeEvent, RecipeStarted
from genomed.entities.recipe_purse import Cost

FAILURES_IN_A_ROW = 10
"""So many work items failing one after another are no accident: the run fails with the last one's reason."""

UNREADABLE_TRIES = 3
"""How often one work item is produced in all, where nobody can read what came."""

MOST_REASONS = 20
LONGEST_REASON = 200

PACE_ITEMS = 50
"""The pace is measured over the last so many finished work items."""


class RunState(StrEnum):
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    SHORT = "short"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({RunState.COMPLETED, RunState.SHORT, RunState.CANCELLED, RunState.FAILED})


class Run(Struct, frozen=True, kw_only=True, rename="camel"):
    """cancel_reason: why it is to end, once somebody asked."""

    started: RecipeStarted
    started_us: int
    cancel_reason: str | None = None
    ended: RecipeEnded | None = None
    ended_us: int | None = None

    @property
    def state(self) -> RunState:
        if self.ended is not None:
            return RunState(self.ended.state)
        return RunState.RUNNING if self.cancel_reason is None else RunState.CANCELLING


class Tally(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the log says of a run's work items. cost: of all of them, and of tries at rejected rows."""

    rows: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0
    duplicates: int = 0
    cost: Cost = Cost()


class Stop(Struct, frozen=True, kw_only=True):
    """Why a run ends before its plan does."""

    state: RunState
    reason: str
    error: ErrorBody | None = None


def evolve(run: Run | None, event: RecipeEvent, *, at_us: int) -> Run:
    """Ended is ended. Raises ValueError for what happens to a run that never began."""
    if isinstance(event, RecipeStarted):
        return run or Run(started=event, started_us=at_us)
    if run is None:
        raise ValueError("a recipe's stream opens with recipe.started")
    if run.ended is not None:
        return run
    match event:
        case RecipeCancelRequested(reason=reason):
            return replace(run, cancel_reason=run.cancel_reason or reason)
        case RecipeEnded():
            return replace(run, ended=event, ended_us=at_us)
        case _:
            assert_never(event)


def missing(started: RecipeStarted, tally: Tally) -> int:
    """Rows that are wanted yet."""
    return max(0, started.wanted - tally.rows)


def ending(started: RecipeStarted, tally: Tally, stop: Stop | None, spent: Cost) -> RecipeEnded:
    """As many rows as wanted is completed, whatever else happened."""
    state, reason, error = RunState.COMPLETED, None, None
    if missing(started, tally) > 0:
        stop = stop or Stop(state=RunState.SHORT, reason=_plan_over(started, tally))
        state, error = stop.state, stop.error
        reason = f"{tally.rows} of {started.wanted} rows: {stop.reason}"
    return RecipeEnded(
        state=state.value,
        rows=tally.rows,
        items_done=tally.done,
        requests=spent.requests,
        tokens=spent.tokens,
        usd=spent.usd,
        reason=reason,
        error=error,
    )


def _plan_over(started: RecipeStarted, tally: Tally) -> str:
    over = "its only work item is done" if started.items == 1 else f"its {started.items} work items are all done"
    return (
        f"{over}: {tally.failed} failed, {tally.refused} rows did not pass the checks,"
        f" {tally.duplicates} were there already"
    )


def eta_s(
    started: RecipeStarted, tally: Tally, finished_us: Sequence[int], *, rows_then: int, now_us: int
) -> float | None:
    """Seconds until the wanted rows are there, at the pace of the last finished items; null where nothing tells a pace.

    finished_us: when the last items finished, oldest first, PACE_ITEMS at most; rows_then: the rows they gave.
    """
    wanted = missing(started, tally)
    if wanted == 0:
        return 0.0
    if len(finished_us) < 2 or rows_then == 0:
        return None
    elapsed_s = (now_us - finished_us[0]) / 1_000_000
    # The oldest one only marks the beginning: what it gave was made before.
    share = (len(finished_us) - 1) / len(finished_us)
    if elapsed_s <= 0:
        return None
    by_rows = wanted / (rows_then * share / elapsed_s)
    items_left = started.items - tally.done - tally.failed
    by_items = items_left / ((len(finished_us) - 1) / elapsed_s)
    return min(by_rows, by_items)


def told(reasons: Sequence[str]) -> tuple[str, ...]:
    """Reasons as an event holds them: each once, not too many, not too long."""
    return tuple(dict.fromkeys(reason[:LONGEST_REASON] for reason in reasons))[:MOST_REASONS]
