"""A run as callers see it, and the sums over its work items that the engine goes by too."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from genomed.commands.context import as_int, as_text
from genomed.entities.errors import ErrorBody
from genomed.entities.journal_port import SqlValue
from genomed.entities.recipe import PACE_ITEMS, Run, Tally, eta_s
from genomed.entities.recipe_events import RunBudget
from genomed.entities.recipe_purse import Cost

_TALLY = """
SELECT COALESCE(SUM(CASE WHEN item_id IS NULL THEN rows ELSE 0 END), 0),
  COALESCE(SUM(item_id IS NULL AND NOT failed), 0), COALESCE(SUM(item_id IS NULL AND failed), 0),
  COALESCE(SUM(refused), 0), COALESCE(SUM(duplicates), 0), COALESCE(SUM(requests), 0),
  SUM(prompt_tokens), SUM(prompt_tokens IS NULL), SUM(completion_tokens), SUM(completion_tokens IS NULL),
  SUM(usd), SUM(usd IS NULL)
FROM recipe_items WHERE run_id = ?
"""
_PACE = """
SELECT at_us, rows FROM recipe_items WHERE run_id = ?1 AND item_id IS NULL AND NOT failed
ORDER BY position DESC LIMIT ?2
"""
_REFUSALS = "SELECT reason, items FROM recipe_refusals WHERE run_id = ? ORDER BY items DESC, reason LIMIT 20"


class Asks(Protocol):
    """As much of the journal as is needed here."""

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]: ...


class RefusalView(Struct, frozen=True, kw_only=True, rename="camel"):
    """items: how many work items met this reason."""

    reason: str
    items: int


class RunView(Struct, frozen=True, kw_only=True, rename="camel"):
    """state: running, cancelling, completed, short, cancelled or failed. rows: proposed, of those wanted.

    itemsPlanned, itemsDone, itemsFailed: work items. refused, duplicates: rows that were not proposed. requests: also
    those that failed. promptTokens, completionTokens, usd: of the answers that came; null where one was not counted or
    has no price. etaS: at the measured pace; null where nothing tells one, 0 at the end. model, judge, encoder: names
    of configured models. waiting: which of them does not answer now, and why; the run goes on once it does. Times in
    microseconds since 1970.
    """

    run_id: str
    recipe: str
    version: str
    persona_id: str
    draft_id: str
    batch_id: str
    state: str
    reason: str | None
    waiting: str | None
    error: ErrorBody | None
    wanted: int
    rows: int
    items_planned: int
    items_done: int
    items_failed: int
    refused: int
    duplicates: int
    refusals: tuple[RefusalView, ...]
    requests: int
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    budget: RunBudget
    eta_s: float | None
    seed: int
    model: str | None
    judge: str | None
    encoder: str | None
    target_encoder: str | None
    started_us: int
    ended_us: int | None


async def tally_of(log: Asks, run_id: str) -> Tally:
    [row] = await log.query(_TALLY, (run_id,))
    rows, done, failed, refused, duplicates, requests, *sums = row
    cost = Cost(
        requests=as_int(requests),
        prompt_tokens=_known(sums[0], sums[1]),
        completion_tokens=_known(sums[2], sums[3]),
        usd=None if sums[5] else float(sums[4] or 0.0),
    )
    return Tally(
        rows=as_int(rows),
        done=as_int(done),
        failed=as_int(failed),
        refused=as_int(refused),
        duplicates=as_int(duplicates),
        cost=cost,
    )


def _known(total: SqlValue, unknown: SqlValue) -> int | None:
    return None if unknown else as_int(total or 0)


async def run_view(log: Asks, run_id: str, run: Run, *, now_us: int, waiting: str | None) -> RunView:
    """waiting: as the daemon knows it of this run, which may have ended."""
    tally = await tally_of(log, run_id)
    started, ended = run.started, run.ended
    refusals = await log.query(_REFUSALS, (run_id,))
    return RunView(
        run_id=run_id,
        recipe=started.recipe,
        version=started.version,
        persona_id=started.persona_id,
        draft_id=started.draft_id,
        batch_id=started.batch_id,
        state=run.state.value,
        reason=ended.reason if ended else run.cancel_reason,
        waiting=None if ended else waiting,
        error=ended.error if ended else None,
        wanted=started.wanted,
        rows=tally.rows,
        items_planned=started.items,
        items_done=tally.done,
        items_failed=tally.failed,
        refused=tally.refused,
        duplicates=tally.duplicates,
        refusals=tuple(RefusalView(reason=as_text(reason), items=as_int(items)) for reason, items in refusals),
        requests=max(tally.cost.requests, ended.requests if ended else 0),
        prompt_tokens=tally.cost.prompt_tokens,
        completion_tokens=tally.cost.completion_tokens,
        usd=tally.cost.usd,
        budget=started.budget,
        eta_s=0.0 if ended else await _eta_s(log, run_id, run, tally, now_us=now_us),
        seed=started.seed,
        model=started.model,
        judge=started.judge,
        encoder=started.encoder,
        target_encoder=started.target_encoder,
        started_us=run.started_us,
        ended_us=run.ended_us,
    )


async def _eta_s(log: Asks, run_id: str, run: Run, tally: Tally, *, now_us: int) -> float | None:
    pace = await log.query(_PACE, (run_id, PACE_ITEMS))
    finished_us = [as_int(at_us) for at_us, _ in reversed(pace)]
    return eta_s(run.started, tally, finished_us, rows_then=sum(as_int(rows) for _, rows in pace), now_us=now_us)
