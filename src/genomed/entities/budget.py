"""How much may be spent: caps for everything, for one persona, for one provider. Windows are UTC days and months.

Knows money as USD on the wire and whole millionths of a dollar inside, so that sums are exact.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Annotated

from msgspec import Meta, Struct

MICROS = 1_000_000
MOST_USD = 1_000_000_000.0
"""No single amount is larger: beyond it a number is a defect, and sums of micro-dollars must fit into 64 bits."""

Usd = Annotated[float, Meta(ge=0, le=MOST_USD)]


class Caps(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """jobUsd: of one job with all its attempts. dayUsd, monthUsd: of what was begun in one. Null: no cap."""

    job_usd: Usd | None = None
    day_usd: Usd | None = None
    month_usd: Usd | None = None

    @property
    def any(self) -> bool:
        return self.job_usd is not None or self.day_usd is not None or self.month_usd is not None


class Budget(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """overall: over all jobs; personas, providers: by name, and all that apply must be kept.

    allowUnknown: a job whose price nobody knows may start though a cap applies to it.
    """

    overall: Caps = Caps()
    personas: dict[str, Caps] = {}
    providers: dict[str, Caps] = {}
    allow_unknown: bool = False


class Scope(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose money: kind is `overall`, `persona` or `provider`; name is null for overall."""

    kind: str
    name: str | None = None

    @property
    def words(self) -> str:
        return "all jobs together" if self.name is None else f"{self.kind} {self.name}"

    def field(self, cap: str) -> str:
        """The path of a cap as `genome/budget-set` takes it."""
        return f"budget.overall.{cap}" if self.name is None else f"budget.{self.kind}s.{self.name}.{cap}"


OVERALL = Scope(kind="overall")


def scopes_of(persona_id: str, provider: str) -> tuple[Scope, Scope, Scope]:
    """Everything that money spent by this persona at this provider counts for."""
    return OVERALL, Scope(kind="persona", name=persona_id), Scope(kind="provider", name=provider)


def caps_of(budget: Budget, scope: Scope) -> Caps:
    """The caps of a scope; empty ones where none were set."""
    if scope.name is None:
        return budget.overall
    return (budget.personas if scope.kind == "persona" else budget.providers).get(scope.name, Caps())


def capped(budget: Budget) -> Iterator[Scope]:
    """Every scope that the budget names, and the one over all."""
    yield OVERALL
    yield from (Scope(kind="persona", name=name) for name in budget.personas)
    yield from (Scope(kind="provider", name=name) for name in budget.providers)


def micros_of(usd: float | None) -> int | None:
    """Millionths of a dollar; None for a price that nobody knows, or that is no price."""
    if usd is None or not isfinite(usd) or usd < 0:
        return None
    return round(min(usd, MOST_USD) * MICROS)


def usd_of(micros: int) -> float:
    return micros / MICROS
