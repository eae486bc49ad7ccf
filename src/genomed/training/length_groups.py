"""An order of rows in which neighbours are alike in length, so that a batch pads little.

Of the seed and the epoch alone: the engine's own sampler draws from the chance that everything shares, so a run that
is resumed would see other batches (transformers.trainer_pt_utils.LengthGroupedSampler, 5.17). Pure.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

POOL_BATCHES = 50
"""Batches sorted together at most. More would pad less and leave less to chance."""
FEWEST_POOLS = 4
COSTLY_PADDING = 0.3
"""Share of what is computed from which a run should hear of it: a fifth of its time and more could be had back."""


class LengthGroups:
    """What a loader takes for a sampler: told each epoch, and asked for places."""

    def __init__(self, lengths: Sequence[int], *, batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed = lengths, batch, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(order(self._lengths, batch=self._batch, seed=self._seed, epoch=self._epoch))


def order(lengths: Sequence[int], *, batch: int, seed: int, epoch: int) -> list[int]:
    """Every place once. A short last batch stays last."""
    draw = random.Random(f"lengths-{seed}-{epoch}")
    places = list(range(len(lengths)))
    draw.shuffle(places)
    pool = batch * max(1, min(POOL_BATCHES, len(places) // (batch * FEWEST_POOLS)))
    batches: list[list[int]] = []
    for start in range(0, len(places), pool):
        alike = sorted(places[start : start + pool], key=lambda place: lengths[place])
        batches += [alike[at : at + batch] for at in range(0, len(alike), batch)]
    last = [batches.pop()] if batches and len(batches[-1]) < batch else []
    draw.shuffle(batches)
    return [place for group in [*batches, *last] for place in group]


def padding(lengths: Sequence[int], *, batch: int) -> float:
    """The share of what is computed that is padding, with rows that come in this order: 0 to 1."""
    computed = sum(
        max(lengths[at : at + batch]) * len(lengths[at : at + batch]) for at in range(0, len(lengths), batch)
    )
    return 1 - sum(lengths) / computed if computed else 0.0


def padding_without_order(lengths: Sequence[int], *, batch: int, seed: int) -> float:
    """The same for a shuffled order: not the engine's own, but one of its kind."""
    mixed = list(lengths)
    random.Random(f"padding-{seed}").shuffle(mixed)
    return padding(mixed, batch=batch)


def advice(lengths: Sequence[int], *, batch: int, accumulation: int, seed: int) -> str | None:
    """What a reader should know who did not ask for groups; None where they would bring little."""
    loose = padding_without_order(lengths, batch=batch, seed=seed)
    places = order(lengths, batch=batch * accumulation, seed=seed, epoch=0)
    grouped = padding([lengths[place] for place in places], batch=batch)
    if loose < COSTLY_PADDING or grouped > loose / 2:
        return None
    return (
        f"about {loose:.0%} of what is computed is padding, as the rows differ much in length; "
        f"with metadata.groupByLength it would be {grouped:.0%}"
    )


def length_of(row: Mapping[str, Sequence[object]]) -> int:
    """In tokens, of a row as a trainer holds it: of a pair, those of its longer side."""
    sizes = {name: len(row[name]) for name in row if name.endswith("_ids")}
    if "input_ids" in sizes:
        return sizes["input_ids"]
    return sizes.get("prompt_ids", 0) + max(sizes.get("chosen_ids", 0), sizes.get("rejected_ids", 0))
