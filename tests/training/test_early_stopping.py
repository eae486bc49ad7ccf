"""When training stops early, told evaluation by evaluation, and how rows are grouped by length. Pure."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.training.early_stopping import Standing, after, read, write
from genomed.training.length_groups import LengthGroups, length_of, order
from genomed.training.specification import EarlyStopping

LOSSES = st.lists(st.none() | st.floats(0, 10), max_size=30)
RULES = st.builds(EarlyStopping, patience=st.integers(1, 5), threshold=st.floats(0, 2))


def told(losses: list[float | None], rule: EarlyStopping | None) -> list[Standing]:
    """How things stand after each evaluation."""
    standings = [Standing()]
    for step, loss in enumerate(losses, 1):
        standings.append(after(standings[-1], step=step, loss=loss, rule=rule))
    return standings[1:]


@given(losses=LOSSES, rule=RULES)
def test_training_stops_after_as_many_evaluations_without_a_gain_as_it_has_patience(
    losses: list[float | None], rule: EarlyStopping
) -> None:
    best: float | None = None
    idle = 0
    for loss, standing in zip(losses, told(losses, rule), strict=True):
        lower = loss is not None and (best is None or loss < best)
        gain = lower and (best is None or (loss is not None and best - loss >= rule.threshold))
        idle = 0 if gain else idle + 1
        best = loss if lower else best
        assert standing.best_loss == best
        assert standing.stopped == (idle >= rule.patience)


@given(losses=LOSSES)
def test_the_best_step_is_the_first_of_the_lowest_loss(losses: list[float | None]) -> None:
    known = [loss for loss in losses if loss is not None]
    last = told(losses, None)[-1] if losses else Standing()
    assert last.best_step == (losses.index(min(known)) + 1 if known else None)
    assert not last.stopped


def test_what_was_seen_so_far_survives_in_a_checkpoint(tmp_path: Path) -> None:
    assert read(None) == read(tmp_path) == Standing()
    standing = Standing(best_step=4, best_loss=0.123456789, without_gain=2, stopped=True)
    write(tmp_path, standing)
    assert read(tmp_path) == standing


@given(lengths=st.lists(st.integers(1, 500), max_size=400), batch=st.integers(1, 16), epoch=st.integers(0, 3))
def test_groups_of_like_length_hold_every_row_once(lengths: list[int], batch: int, epoch: int) -> None:
    places = order(lengths, batch=batch, seed=7, epoch=epoch)
    assert sorted(places) == list(range(len(lengths)))
    assert places == order(lengths, batch=batch, seed=7, epoch=epoch)


def test_groups_pad_far_less_than_chance_and_differ_from_epoch_to_epoch() -> None:
    lengths = [1 + (place * 37) % 400 for place in range(400)]

    def padding(places: list[int]) -> int:
        batches = [[lengths[place] for place in places[at : at + 8]] for at in range(0, len(places), 8)]
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    first, second = (order(lengths, batch=8, seed=7, epoch=epoch) for epoch in (0, 1))
    assert first != second
    assert padding(first) < padding(list(range(400))) / 5


def test_a_sampler_goes_by_the_epoch_it_was_told_and_not_by_how_often_it_was_asked() -> None:
    lengths = list(range(50))
    sampler, other = (LengthGroups(lengths, batch=4, seed=1) for _ in range(2))
    assert list(sampler) == list(sampler)
    sampler.set_epoch(2)
    other.set_epoch(2)
    assert list(sampler) == list(other)
    assert len(sampler) == 50


@pytest.mark.parametrize(
    ("row", "length"),
    [
        ({"input_ids": [1, 2, 3], "labels": [0] * 9}, 3),
        ({"prompt_ids": [1, 2], "chosen_ids": [1], "rejected_ids": [1, 2, 3], "prompt": "xxxxxxxx"}, 5),
    ],
)
def test_a_row_is_as_long_as_its_tokens_and_a_pair_as_its_longer_side(row: dict[str, list[int]], length: int) -> None:
    assert length_of(row) == length
