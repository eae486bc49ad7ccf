"""Pairs of vectors that hang together by a bent map: a perceptron can learn it, and an untrained one knows nothing."""

import math
import random

Json = dict[str, object]
WIDE, NARROW = 12, 6
BASE_MODEL = f"mlp:{WIDE}-48-24-{NARROW}"


def make_vector_rows(count: int, seed: int = 1) -> list[Json]:
    """The same map for every seed; other points."""
    map_of, points = random.Random(0), random.Random(seed)
    matrix = [[map_of.gauss(0, 1) for _ in range(WIDE)] for _ in range(NARROW)]
    rows: list[Json] = []
    for at in range(count):
        given = [points.gauss(0, 1) for _ in range(WIDE)]
        wanted = [math.tanh(sum(a * b for a, b in zip(line, given, strict=True)) / 2) for line in matrix]
        rows.append({"id": f"row-{at}", "input": given, "target": wanted})
    return rows
