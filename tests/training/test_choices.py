"""What the worker chose by measuring: each reason is of a setting it really takes; and when padding is spoken of."""

import random

import pytest
from tests.training.test_settings import CPU, GPU, SPEC

from genomed.training.choices import BENCHMARK, MEASURED
from genomed.training.hardware import Hardware
from genomed.training.length_groups import advice, order, padding
from genomed.training.settings import derive


def told(hardware: Hardware) -> dict[str, tuple[object, str | None]]:
    settings = derive(SPEC, hardware, rows=40, eval_rows=0, masking="all", length=512)
    return {field.field.removeprefix("engine."): (field.sent, field.note) for field in settings.effective}


@pytest.mark.parametrize("choice", MEASURED, ids=lambda choice: choice.setting)
def test_every_reason_is_of_a_setting_that_the_worker_takes_unasked(choice: tuple[str, object, str, str]) -> None:
    setting, value, on, because = choice
    sent, note = told(CPU)["attention" if setting == "attn_implementation" else setting]
    assert on == "cpu"
    assert sent == value
    assert note == f"{because}: {BENCHMARK}"


def test_no_reason_is_claimed_on_a_device_that_nobody_measured() -> None:
    notes = [note for _, note in told(GPU).values() if note]
    assert "not measured on cuda yet" in notes
    assert not any(BENCHMARK in note for note in notes)


def test_rows_of_very_different_length_are_told_how_much_of_them_is_padding() -> None:
    draw = random.Random(3)
    lengths = [draw.choice((20, 30, 40, 400)) for _ in range(200)]
    said = advice(lengths, batch=4, accumulation=1, seed=1)
    assert said is not None
    assert "metadata.groupByLength" in said


@pytest.mark.parametrize(
    ("lengths", "batch"),
    [([50] * 100, 4), ([20, 400] * 50, 1), ([40 + n % 9 for n in range(100)], 8), ([20, 400], 4), ([], 4)],
    ids=["alike", "alone", "nearly alike", "one batch", "none"],
)
def test_nothing_is_said_of_padding_where_groups_would_not_help(lengths: list[int], batch: int) -> None:
    assert advice(lengths, batch=batch, accumulation=1, seed=1) is None


def test_padding_is_what_is_computed_beyond_the_rows_themselves() -> None:
    assert padding([10, 10, 5], batch=2) == 0
    assert padding([10, 30], batch=2) == pytest.approx(1 / 3)
    lengths = [draw * 7 % 90 + 10 for draw in range(200)]
    grouped = [lengths[place] for place in order(lengths, batch=4, seed=1, epoch=0)]
    assert padding(grouped, batch=4) < padding(lengths, batch=4) / 2
