"""How a dataset is named, and what became of it: equal content has one id."""

import msgspec
from tests.golden.samples import sample

from genomed.entities.dataset import dataset_id, evolve
from genomed.entities.events import DatasetFrozen


def identity(**changes: str | None) -> str:
    parts: dict[str, str | None] = {"persona_id": "ada", "row_kind": "chat", "train_sha256": "aa", "eval_sha256": "bb"}
    parts |= changes
    return dataset_id(
        persona_id=str(parts["persona_id"]),
        row_kind=str(parts["row_kind"]),
        train_sha256=str(parts["train_sha256"]),
        eval_sha256=parts["eval_sha256"],
    )


def test_equal_content_of_one_persona_has_one_id() -> None:
    assert identity() == identity()
    changed = {identity(**{name: "cc"}) for name in ("persona_id", "row_kind", "train_sha256", "eval_sha256")}
    assert len(changed | {identity(), identity(eval_sha256=None)}) == 6
    assert identity().startswith("ds-")


def test_a_dataset_is_frozen_once() -> None:
    first = sample(DatasetFrozen)
    dataset = evolve(None, first, at_us=1)
    assert evolve(dataset, msgspec.structs.replace(first, name="other"), at_us=2) == dataset
    facts = dataset.facts("ds-1")
    assert (facts.dataset_id, facts.rows, facts.eval_rows) == ("ds-1", first.rows, first.eval_rows)
