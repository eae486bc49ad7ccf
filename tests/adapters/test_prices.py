"""An estimate comes from the operator's table or is null; it is never a guess dressed as a number."""

import pytest
from msgspec.structs import replace

from genomed.adapters._prices import PriceTable, hourly_estimate, training_estimate
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import RowKind

ROWS = DatasetFacts(dataset_id="ds", row_kind=RowKind.CHAT, rows=10, eval_rows=0, size_bytes=4_000_000)
TABLE = PriceTable(
    prices={"acme/small": 3.0, "acme/small-2": 5.0, "free-": 0.0},
    hourly_prices={"H100": 4.0},
    prices_as_of="2026-11-20",
    prices_source="acme's price page",
)


@pytest.mark.parametrize(
    ("model", "usd"), [("acme/small", 6.0), ("acme/small-1b", 6.0), ("acme/small-2-8b", 10.0), ("free-x", 0.0)]
)
def test_the_longest_entry_that_the_models_name_begins_with_prices_it(model: str, usd: float) -> None:
    estimate = training_estimate(TABLE, model=model, dataset=ROWS, epochs=2)
    assert (estimate.usd, estimate.tokens) == (usd, 2_000_000)
    assert (estimate.source, estimate.as_of) == ("price_table", "2026-11-20")


def test_the_basis_tells_the_rule_of_thumb_the_price_and_where_it_stands() -> None:
    basis = training_estimate(TABLE, model="acme/small", dataset=ROWS, epochs=2).basis
    assert "2,000,000 tokens" in basis
    assert "4,000,000 bytes / 4, 2 epochs" in basis
    assert "3 USD per million by acme's price page as of 2026-11-20" in basis


def test_a_model_without_an_entry_has_no_price() -> None:
    estimate = training_estimate(TABLE, model="other/model", dataset=ROWS, epochs=1)
    assert (estimate.usd, estimate.source, estimate.tokens) == (None, "unknown", 1_000_000)
    assert "no entry for other/model" in estimate.basis


def test_a_table_without_a_date_says_so() -> None:
    dateless = replace(TABLE, prices_as_of=None, prices_source=None)
    assert "of no stated date" in training_estimate(dateless, model="acme/small", dataset=ROWS, epochs=1).basis


def test_the_smallest_job_costs_the_minimum() -> None:
    estimate = training_estimate(replace(TABLE, minimum_usd=9.0), model="acme/small", dataset=ROWS, epochs=1)
    assert estimate.usd == 9.0
    assert "at least 9 USD" in estimate.basis


def test_an_hour_of_serving_costs_by_accelerator() -> None:
    assert hourly_estimate(TABLE, accelerator="H100", accelerators=2).usd == 8.0
    assert hourly_estimate(TABLE, accelerator="B200", accelerators=1).usd is None
    assert hourly_estimate(TABLE, accelerator=None, accelerators=1).source == "unknown"
