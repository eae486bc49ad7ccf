"""What the journal asks of the read models: a fold per kind of stream, and rows per event.

Knows envelopes and SQL texts. Does not know which tables there are, nor when a transaction runs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite, SqlValue

State = TypeVar("State")


class Fold(Struct, frozen=True, kw_only=True):
    """How the streams of one kind fold. Make it with `fold_of`, which keeps the types."""

    state_type: type
    evolve: Callable[[object | None, Envelope], object | None]


def fold_of(state_type: type[State], evolve: Callable[[State | None, Envelope], State | None]) -> Fold:
    """state_type: a class that msgspec writes as JSON and reads back equal. evolve: gives None while there is none."""

    def checked(state: object | None, envelope: Envelope) -> object | None:
        if state is not None and not isinstance(state, state_type):
            raise TypeError(f"{envelope.stream} folds to {state_type.__name__}, not {type(state).__name__}")
        return evolve(state, envelope)

    return Fold(state_type=state_type, evolve=checked)


def write(sql: str, *row: SqlValue) -> SideWrite:
    """One statement for one row."""
    return SideWrite(sql=sql, rows=(row,))


class ReadModels(Protocol):
    """Tables derived from the log. Pure: the same events in the same order give the same rows.

    Events that this build cannot read are never shown to them.
    """

    @property
    def kinds(self) -> Mapping[str, Fold]:
        """Kind of stream (`job` of `job/...`) -> its fold; other kinds keep no state."""
        ...

    def rows(self, envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
        """SQL that one event means for the tables. state: the stream's, after the event; None without a fold."""
        ...

    def schema(self) -> str:
        """CREATE ... IF NOT EXISTS statements.

        When this text or a state type changes, all is rebuilt at the next start: so a change of meaning in a fold or
        in `rows` needs a changed comment here.
        """
        ...

    def tables(self) -> tuple[str, ...]: ...
