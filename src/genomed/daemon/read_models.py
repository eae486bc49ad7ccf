"""The folds of every kind of stream, and the tables that answer questions about many streams at once.

Everything here follows from the log alone: the same events in the same order give the same rows. What there is, each
module of `projections` knows for its own subject; here they become one.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

from genomed.daemon.journal.read_model_port import Fold
from genomed.daemon.projections import (
    access,
    datasets,
    drafts,
    errands,
    experience,
    forgetting,
    guards,
    interactions,
    recipes,
    retention,
    reviews,
    self_tasks,
    traces,
    work,
)
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite


class Projection(Protocol):
    """One subject's module. FOLDS: of the streams that are its own; a kind of stream has one fold in all."""

    @property
    def SCHEMA(self) -> str: ...  # noqa: N802  (a module's constant)

    @property
    def TABLES(self) -> tuple[str, ...]: ...  # noqa: N802  (a module's constant)

    @property
    def FOLDS(self) -> Mapping[str, Fold]: ...  # noqa: N802  (a module's constant)

    def rows(self, envelope: Envelope, state: object | None, /) -> Sequence[SideWrite]:
        """SQL that one event means for the tables of this subject; it is shown the events of other streams too."""
        ...


PROJECTIONS: tuple[Projection, ...] = (
    work,
    datasets,
    drafts,
    experience,
    interactions,
    reviews,
    forgetting,
    recipes,
    self_tasks,
    traces,
    access,
    guards,
    retention,
    errands,
)


class GenomeReadModels:
    """Fulfils the journal's ReadModels."""

    @property
    def kinds(self) -> Mapping[str, Fold]:
        return _FOLDS

    def schema(self) -> str:
        return "".join(projection.SCHEMA for projection in PROJECTIONS)

    def tables(self) -> tuple[str, ...]:
        return tuple(chain.from_iterable(projection.TABLES for projection in PROJECTIONS))

    def rows(self, envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
        found: list[SideWrite] = []
        for rows in _ROWS:
            found += rows(envelope, state)
        return found


_FOLDS: Mapping[str, Fold] = {kind: fold for projection in PROJECTIONS for kind, fold in projection.FOLDS.items()}
_ROWS = tuple(projection.rows for projection in PROJECTIONS)
