"""A wish to forget: what it named and how far it is. Pure."""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.forget_events import ForgetCarriedOut, ForgetEvent, ForgetRequested


class Forgetting(Struct, frozen=True, kw_only=True, rename="camel"):
    """carried_us: when the files were rewritten too; null while that is still to be done."""

    requested: ForgetRequested
    requested_us: int
    carried_us: int | None = None
    rows: int = 0
    samples: int = 0


def evolve(forgetting: Forgetting | None, event: ForgetEvent, *, at_us: int) -> Forgetting:
    """Raises ValueError for an end without a beginning."""
    match event:
        case ForgetRequested():
            return forgetting or Forgetting(requested=event, requested_us=at_us)
        case ForgetCarriedOut():
            if forgetting is None:
                raise ValueError("a wish to forget opens with forget.requested")
            return replace(forgetting, carried_us=at_us, rows=event.rows, samples=event.samples)
        case _:
            assert_never(event)
