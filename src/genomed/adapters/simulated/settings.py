"""Play money: what a simulated job pretends to cost, so that caps, approvals and the ledger can be tried for free."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.adapters.simulated.serving import ServingSettings
from genomed.entities.facts import Estimate

Price = Annotated[float, Meta(ge=0, le=1_000_000)]


class SimulatedSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider's section of the daemon's configuration.

    price_usd: what a job is estimated at; given, the provider calls itself paid; `unknown`: paid, at a price that
    nobody knows. quote_usd: the price that it names before the create call. cost_usd: what it says afterwards.
    """

    price_usd: Price | Literal["unknown"] | None = None
    quote_usd: Price | None = None
    cost_usd: Price | None = None
    serving: ServingSettings = ServingSettings()

    @property
    def paid(self) -> bool:
        return self.price_usd is not None

    @property
    def estimate(self) -> Estimate:
        match self.price_usd:
            case None:
                return Estimate(usd=0.0, basis="a simulated job trains nothing and costs nothing", source="free")
            case "unknown":
                return Estimate(usd=None, basis="simulated money: the price is said to be unknown", source="unknown")
            case price:
                basis = "simulated money: price_usd of [providers.simulated]"
                return Estimate(usd=price, basis=basis, source="price_table")

    @property
    def quote(self) -> Estimate | None:
        if self.quote_usd is None:
            return None
        basis = "simulated money: quote_usd of [providers.simulated]"
        return Estimate(usd=self.quote_usd, basis=basis, source="provider")
