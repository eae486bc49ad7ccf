"""What makes a module a command to the client: its name, its role, and the types of its params and result.

Also what of a params struct goes over the wire: what was said, not what was left at its default.
"""

from typing import Protocol, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct, structs

from genomed.entities.types import Role

P_co = TypeVar("P_co", bound=Struct, covariant=True)
R_co = TypeVar("R_co", bound=Struct, covariant=True)
Q_co = TypeVar("Q_co", bound=Struct, covariant=True)


class Command(Protocol[P_co, R_co]):
    """Every module of genomed.commands with a NAME fits: `call(job_create, job_create.Params(...))` is typed by it."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - the names of the modules' constants

    @property
    def ROLE(self) -> Role: ...  # noqa: N802 - same

    @property
    def Params(self) -> type[P_co]: ...  # noqa: N802 - same

    @property
    def Result(self) -> type[R_co]: ...  # noqa: N802 - same


class Piecewise(Command[P_co, R_co], Protocol[P_co, R_co, Q_co]):
    """A command whose result comes in pieces to those who ask for them."""

    @property
    def Piece(self) -> type[Q_co]: ...  # noqa: N802 - same


def said(params: Struct) -> dict[str, object]:
    """The params as JSON data, without what stands at its default.

    The daemon tells apart what a caller asked for and what it left open: a provider may lack a setting that nobody
    asked for. A struct does not remember, so here a value equal to its default counts as left open.
    """
    given: dict[str, object] = {}
    for field in structs.fields(params):
        value = getattr(params, field.name)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if default is NODEFAULT or value != default:
            given[field.encode_name] = said(value) if isinstance(value, Struct) else msgspec.to_builtins(value)
    return given


def waits_s(given: dict[str, object]) -> float:
    """How long the command itself was told to wait before it answers."""
    waits = given.get("waitS")
    return float(waits) if isinstance(waits, int | float) else 0.0
