"""Embeddings out of triplets: text into vectors, so that a question lies near the passage that answers it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..attempt import Attempt
from ..failures import WorkerFailure
from ..judge import Judgement
from . import encoder_rows, encoder_run, library
from .encoder_rows import Columns, Triplet
from .encoder_settings import dimensions
from .judging import Bench, judge_triplets
from .library import Encoder, Kind, Modules

if TYPE_CHECKING:
    from torch import nn


class Embeddings:
    """A `Craft`."""

    kind: Kind = "embedding"

    def __init__(self, shared: Attempt) -> None:
        spec = shared.spec
        if spec.embedding is None:
            raise WorkerFailure("invalid_request", "triplet rows need embedding settings")
        self._wanted, self._batch = spec.embedding, spec.schedule.batch_size
        rows = encoder_rows.read_triplets(Path(spec.dataset.train))
        self._held: list[Triplet] = encoder_rows.read_triplets(Path(spec.dataset.eval)) if spec.dataset.eval else []
        encoder_rows.demand_count(spec.dataset, len(rows), len(self._held))
        self.train: Columns = encoder_rows.columns(rows, spec.embedding, seed=spec.seed)
        self.held_out: Columns | None = (
            encoder_rows.columns(self._held, spec.embedding, seed=spec.seed) if self._held else None
        )

    @property
    def apart(self) -> bool:
        return self._wanted.loss == "multiple_negatives"

    def dimension(self, model: Modules) -> int | None:
        return int(cast(Encoder, model).encode(["a"], convert_to_tensor=True, show_progress_bar=False).shape[1])

    def loss(self, model: Modules) -> "nn.Module":
        wanted, encoder = self._wanted, cast(Encoder, model)
        if wanted.loss == "triplet":
            plain = library.triplet_loss(encoder, margin=wanted.margin, distance=wanted.distance)
        else:
            plain = library.ranking_loss(encoder)
        if not wanted.matryoshka:
            return plain
        return library.matryoshka(encoder, plain, dimensions(wanted, self.dimension(model) or 0))

    def judge(self, model: Modules, pause: Callable[[], None]) -> Judgement:
        bench = Bench(self._wanted.k, self._batch, pause, sorted(set(self._wanted.matryoshka), reverse=True))
        return judge_triplets(cast(Encoder, model), self._held, bench)


def attempt(shared: Attempt) -> None:
    encoder_run.attempt(shared, Embeddings)
