"""The order of the training rows: a fixed number of batches per epoch, drawn from the seed and the epoch alone.

A run that goes on in the middle of an epoch finds the same batches, which the library's own order does not promise
after the first epoch. Rows that share a text are kept out of one batch where that is possible: there a loss over the
batch would take one row's right passage for another's wrong one. Pure.
"""

import random
from collections.abc import Sequence


def batches(texts: Sequence[frozenset[str]], *, size: int, seed: int, epoch: int) -> list[list[int]]:
    """texts: of each row, what it must not share with its batch. All batches but one are full."""
    order = list(range(len(texts)))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    waiting, made = order, list[list[int]]()
    while waiting:
        batch, held, later = list[int](), set[str](), list[int]()
        for at, row in enumerate(waiting):
            if len(batch) == size:
                later += waiting[at:]
                break
            if held.isdisjoint(texts[row]):
                batch.append(row)
                held |= texts[row]
            else:
                later.append(row)
        # Nothing left that fits: a full batch that repeats a text is better than a run of another length.
        wanting = size - len(batch)
        made.append(batch + later[:wanting])
        waiting = later[wanting:]
    return made
