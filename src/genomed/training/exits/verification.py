"""Whether two sides gave the same numbers; if not, nothing is published, and the failure says what differed.

A difference counts relative to the largest number of the side that is believed, or to 1 if that is larger: logits of
some models go into the hundreds, where fp32 itself is no finer. Numbers that are none never agree.
"""

from typing import TYPE_CHECKING

from ..failures import WorkerFailure

if TYPE_CHECKING:
    from numpy import ndarray

    Array = ndarray

TOLERANCE = 1e-4
"""Of a graph in fp32 against torch. Source: reference/cogniverse-ragd-ucotron.md 3.7 and 4.7, where it is absolute."""

BATCHES = (1, 4, 16)
"""Source: as above."""


def difference(found: "Array", wanted: "Array") -> float:
    """The largest, relative to the largest of `wanted` or to 1; infinite where shapes differ or a number is none."""
    import numpy as np

    if found.shape != wanted.shape or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    if not wanted.size:
        return 0.0
    apart = np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max()
    return float(apart / max(1.0, float(np.abs(wanted).max())))


def demand(what: str, found: "Array", wanted: "Array", tolerance: float) -> float:
    """The difference. Raises WorkerFailure training_failed beyond `tolerance`."""
    apart = difference(found, wanted)
    if not apart <= tolerance:
        shapes = f" (shapes {found.shape} and {wanted.shape})" if found.shape != wanted.shape else ""
        raise refused(f"{what} differ by {apart:.3g}{shapes}, at most {tolerance:.3g} is allowed")
    return apart


def refused(reason: str) -> WorkerFailure:
    return WorkerFailure("training_failed", f"verification failed, nothing is published: {reason}")
