"""A job's files as what a trainer takes and what is judged on, by kind of rows.

Knows which kind is read how. What a row becomes is the business of `rows`, `raft` and `kto`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from . import kto, raft, rows
from .engine import Tokenizer
from .failures import WorkerFailure
from .rows import Prepared
from .specification import Specification
from .verdicts import HeldOut

Row = TypeVar("Row")

CONVERSATIONS = ("chat", "raft")
"""Kinds that are learned by imitation."""
COMPARED = ("preference", "labelled")
"""Kinds whose trainer measures the model against a frozen reference."""


class Material(NamedTuple):
    """What the rows of a job became. held_out: as the trainer evaluates on them; judged: as `Verdicts` does."""

    train: Prepared
    held_out: Prepared | None
    judged: HeldOut


def material(spec: Specification, tokenizer: Tokenizer, length: int) -> Material:
    """Raises WorkerFailure for rows that cannot be read, or none of which teaches anything."""
    match spec.dataset.kind:
        case "chat":
            train, held = _both(spec, rows.read_chat)
            return _conversations(spec, tokenizer, length, train, held, HeldOut(chat=held))
        case "raft":
            asked, held_asked = _both(spec, raft.read_raft)
            train, held = ([raft.conversation(row) for row in part] for part in (asked, held_asked))
            return _conversations(spec, tokenizer, length, train, held, HeldOut(raft=held_asked))
        case "labelled":
            rated, held_rated = _both(spec, kto.read_labelled)
            batch = spec.schedule.batch_size
            return Material(
                kto.prepare_labelled(tokenizer, rated, length=length, batch=batch, seed=spec.seed),
                kto.prepare_labelled(tokenizer, held_rated, length=length, batch=batch) if held_rated else None,
                HeldOut(labelled=held_rated),
            )
        case _:
            pairs, held_pairs = _both(spec, rows.read_preferences)
            return Material(
                rows.prepare_preferences(tokenizer, pairs, length=length),
                rows.prepare_preferences(tokenizer, held_pairs, length=length) if held_pairs else None,
                HeldOut(preferences=held_pairs),
            )


def _conversations(
    spec: Specification,
    tokenizer: Tokenizer,
    length: int,
    train: list[rows.ChatRow],
    held: list[rows.ChatRow],
    judged: HeldOut,
) -> Material:
    masking, stops = rows.masking_of(tokenizer, spec.schedule.train_on_inputs), rows.stop_ids(tokenizer)
    return Material(
        rows.prepare_chat(tokenizer, train, masking=masking, length=length, stops=stops),
        rows.prepare_chat(tokenizer, held, masking=masking, length=length, stops=stops) if held else None,
        judged,
    )


def _both(spec: Specification, read: Callable[[Path], list[Row]]) -> tuple[list[Row], list[Row]]:
    files = spec.dataset
    return _read(files.train, read, files.rows), _read(files.eval, read, files.eval_rows)


def _read(path: str | None, read: Callable[[Path], list[Row]], wanted: int) -> list[Row]:
    found = read(Path(path)) if path is not None else []
    if len(found) != wanted:
        raise WorkerFailure("invalid_request", f"{path} holds {len(found)} rows, the specification says {wanted}")
    return found
