"""What training is thought to cost, from a table that the operator keeps. Pure.

No prices are shipped: a number that nobody verified is worse than none. Knows tables and sizes; asks nobody.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.facts import DatasetFacts, Estimate

BYTES_PER_TOKEN = 4
"""A rule of thumb for English text. It is said in the estimate's basis, since it can be off by a factor."""

HOUR_S = 3600.0

Usd = Annotated[float, Meta(ge=0, le=1_000_000)]


class PriceTable(Struct, frozen=True, kw_only=True):
    """Part of a provider's settings. prices: model name or its beginning -> USD per million training tokens.

    hourly_prices: accelerator -> USD per hour of serving. prices_as_of: an ISO day. prices_source: where they stand.
    minimum_usd: what the smallest job costs, where the provider has such a minimum.
    """

    prices: dict[str, Usd] = {}
    hourly_prices: dict[str, Usd] = {}
    minimum_usd: Usd = 0
    prices_as_of: str | None = None
    prices_source: str | None = None


def training_estimate(table: PriceTable, *, model: str, dataset: DatasetFacts, epochs: int) -> Estimate:
    """A null price, with the source `unknown`, where the table does not know the model."""
    tokens = dataset.size_bytes // BYTES_PER_TOKEN * epochs
    size = f"about {tokens:,} tokens ({dataset.size_bytes:,} bytes / {BYTES_PER_TOKEN}, {epochs} epochs)"
    entry = _entry(table.prices, model)
    if entry is None:
        basis = f"{size}; the price table in the settings has no entry for {model}"
        return Estimate(usd=None, basis=basis, source="unknown", tokens=tokens)
    usd = max(table.minimum_usd, tokens / 1_000_000 * table.prices[entry])
    basis = f"{size} at {table.prices[entry]:g} USD per million{_as_told(table)}, entry {entry!r}"
    if table.minimum_usd and usd == table.minimum_usd:
        basis += f"; at least {table.minimum_usd:g} USD"
    return Estimate(usd=usd, basis=basis, source="price_table", tokens=tokens, as_of=table.prices_as_of)


def hourly_estimate(table: PriceTable, *, accelerator: str | None, accelerators: int) -> Estimate:
    """Of one hour of serving."""
    price = table.hourly_prices.get(accelerator or "")
    if price is None:
        basis = f"the price table in the settings has no hourly price for {accelerator or 'an unnamed accelerator'}"
        return Estimate(usd=None, basis=basis, source="unknown", seconds=HOUR_S)
    basis = f"{accelerators} x {accelerator} at {price:g} USD per hour{_as_told(table)}"
    return Estimate(
        usd=price * accelerators, basis=basis, source="price_table", seconds=HOUR_S, as_of=table.prices_as_of
    )


def _entry(prices: Mapping[str, float], model: str) -> str | None:
    """The longest beginning wins: `gpt-4.1-mini` before `gpt-4.1`."""
    return max((name for name in prices if model.startswith(name)), key=len, default=None)


def _as_told(table: PriceTable) -> str:
    source = f" by {table.prices_source}" if table.prices_source else " by the settings' price table"
    return source + (f" as of {table.prices_as_of}" if table.prices_as_of else ", of no stated date")
