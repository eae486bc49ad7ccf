"""A reranker out of labelled pairs: query and document are read together, and get a score of how well they fit."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..attempt import Attempt
from ..judge import Judgement
from . import encoder_rows, encoder_run, library
from .encoder_rows import Columns, Pair
from .encoder_settings import DEFAULT
from .judging import Bench, judge_pairs, rankable
from .library import Kind, Modules, Scorer

if TYPE_CHECKING:
    from torch import nn


class Reranker:
    """A `Craft`."""

    kind: Kind = "reranker"
    apart = False

    def __init__(self, shared: Attempt) -> None:
        spec = shared.spec
        self._k, self._batch = (spec.embedding or DEFAULT).k, spec.schedule.batch_size
        rows = encoder_rows.read_pairs(Path(spec.dataset.train))
        self._held: list[Pair] = encoder_rows.read_pairs(Path(spec.dataset.eval)) if spec.dataset.eval else []
        encoder_rows.demand_count(spec.dataset, len(rows), len(self._held))
        self.train: Columns = encoder_rows.pair_columns(rows)
        self.held_out: Columns | None = encoder_rows.pair_columns(self._held) if self._held else None
        self._say_what_is_measured(shared)

    def _say_what_is_measured(self, shared: Attempt) -> None:
        groups: dict[str, list[Pair]] = {}
        for row in self._held:
            groups.setdefault(row.query, []).append(row)
        if self._held and not any(rankable(group) for group in groups.values()):
            message = (
                "no held-out query has both a right and a wrong document, so that there is nothing to rank: "
                "accuracy and ordered pairs are measured, ndcg is not, and nothing can be proved better by it"
            )
            shared.notice("nothing_to_rank", message)

    def dimension(self, model: Modules) -> int | None:  # noqa: ARG002 -- it makes no vectors
        return None

    def loss(self, model: Modules) -> "nn.Module":
        return library.binary_loss(cast(Scorer, model))

    def judge(self, model: Modules, pause: Callable[[], None]) -> Judgement:
        return judge_pairs(cast(Scorer, model), self._held, Bench(self._k, self._batch, pause))


def attempt(shared: Attempt) -> None:
    encoder_run.attempt(shared, Reranker)
