"""Plans of drawn items: the n-th item is the same however many are wanted."""

import math
import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from genomed.entities.recipe_port import WorkItem

Spare = Annotated[float, Meta(ge=1, le=10, description="planned items per wanted row, for those that fail the checks")]
Tries = Annotated[int, Meta(ge=1, le=5, description="times an answer that fails the checks is asked for")]


def seed_of(seed: int, key: str) -> int:
    """48 bits, so that every JSON reader keeps them."""
    return int.from_bytes(sha256(f"{seed}/{key}".encode()).digest()[:6])


def drawn(
    wanted: int, *, seed: int, spare: float, make: Callable[[random.Random], dict[str, object]], rows: int = 1
) -> Iterator[WorkItem]:
    """rows: that one item is hoped to give. Every item draws from its own seed, so none depends on its neighbours."""
    for n in range(math.ceil(wanted * spare / rows)):
        yield numbered(n, seed=seed, make=make)


def numbered(n: int, *, seed: int, make: Callable[[random.Random], dict[str, object]]) -> WorkItem:
    key = f"{n:07d}"
    own = seed_of(seed, key)
    return WorkItem(key=key, seed=own, data=make(random.Random(own)))
