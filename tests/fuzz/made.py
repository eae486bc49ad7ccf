"""JSON made from a fuzzer's bytes: well-formed, with the names a reader looks for, and wrong in every other way."""

from collections.abc import Sequence

from atheris import FuzzedDataProvider  # pyright: ignore[reportAttributeAccessIssue]  # from C, without a stub

DEEPEST = 4
MOST = 6

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ODD = (
    "",
    "\0",
    "\ud800".encode("utf-8", "replace").decode(),
    "ds-1",
    "job-1",
    "/",
    "..",
    "9" * 400,
    "2026-11-21",
    "nan",
)


def value(given: FuzzedDataProvider, names: Sequence[str], depth: int = 0) -> Json:
    """Any JSON value. names: what its keys are mostly called."""
    match given.ConsumeIntInRange(0, 9 if depth < DEEPEST else 6):
        case 0:
            return None
        case 1:
            return bool(given.ConsumeBool())
        case 2:
            return int(given.ConsumeIntInRange(-3, 100))
        case 3:
            return int(given.ConsumeInt(12))
        case 4:
            return float(given.ConsumeRegularFloat())
        case 5:
            return str(given.PickValueInList(list(ODD)))
        case 6:
            return str(given.ConsumeUnicodeNoSurrogates(given.ConsumeIntInRange(0, 40)))
        case 7:
            return [value(given, names, depth + 1) for _ in range(given.ConsumeIntInRange(0, MOST))]
        case _:
            return thing(given, names, depth + 1)


def thing(given: FuzzedDataProvider, names: Sequence[str], depth: int = 0) -> dict[str, Json]:
    """An object: mostly known names."""
    made: dict[str, Json] = {}
    for _ in range(given.ConsumeIntInRange(0, MOST)):
        known = names and given.ConsumeIntInRange(0, 9) > 0
        name = str(given.PickValueInList(list(names)) if known else given.ConsumeUnicodeNoSurrogates(8))
        made[name] = value(given, names, depth + 1)
    return made
