"""A local base model is counted by the headers of its files; what is no model here is not guessed at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.local_bench import Bench, bench_in

from genomed.adapters.local.base_model import read_model
from genomed.entities.sizing_port import Sizing


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as bench:
        yield bench


async def test_a_local_model_is_counted_and_its_need_is_the_one_it_would_be_refused_by(bench: Bench) -> None:
    provider = bench.provider()
    assert isinstance(provider, Sizing)
    size = await provider.size_of(str(bench.model))
    assert size.parameters == read_model(bench.model).parameters
    need = await provider.memory_need(bench.configuration(), bench.dataset())
    assert need is not None
    assert need.size_bytes > 0
    assert need.in_words.startswith("about ")


async def test_what_is_no_model_here_has_no_size(bench: Bench, tmp_path: Path) -> None:
    provider = bench.provider()
    assert isinstance(provider, Sizing)
    assert (await provider.size_of("acme/tiny-7b")).parameters is None
    assert (await provider.size_of(str(tmp_path))).parameters is None
    assert await provider.memory_need(bench.configuration(model={"baseModel": "acme/7b"}), bench.dataset()) is None
