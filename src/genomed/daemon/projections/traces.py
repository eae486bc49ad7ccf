"""How far each trace source was read: the fold of its stream. It needs no table: sources are known by name.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of
from genomed.entities import trace_progress as trace_fold
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite
from genomed.entities.trace_events import TraceEvent
from genomed.entities.trace_progress import TraceProgress

SCHEMA = ""
TABLES: tuple[str, ...] = ()


def _progress(state: TraceProgress | None, envelope: Envelope) -> TraceProgress:
    return trace_fold.evolve(state, cast("TraceEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"trace_source": fold_of(TraceProgress, _progress)}


def rows(_envelope: Envelope, _state: object | None) -> Sequence[SideWrite]:
    return ()
