"""One value as a person reads it. Its name says what it is: `Us` a time, `Bytes` a size, `S` seconds."""

from datetime import UTC, datetime
from math import isfinite

from genomed.cli.arguments import Json
from genomed.cli.sparkline import sparkline
from genomed.entities.narration import duration, usd_line

MOST_LIST_TEXT = 80
TIMES = ("createdAt", "timestamp")
"""Times in microseconds whose names, taken from the seed, do not say so."""
MONEY = ("estimatedCost",)
DURATIONS = ("estimatedDuration",)
"""Likewise dollars, and seconds."""
RATES = ("PerS", "PerSecond")
"""How many in a second: four digits are more than a measurement holds."""
BRIEF_S = 10.0
"""Below it, a whole number of seconds would hide what is being told: how fast something answers."""


def cell(name: str, value: Json) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("Us") or name in TIMES:
            return local_time(value)
        case int() if name.endswith("Bytes"):
            return size(value)
        case int() | float() if name.endswith(("Usd", "usd")) or name in MONEY:
            return usd_line(value)
        case int() | float() if name.endswith(RATES):
            return number(float(f"{value:.4g}"))
        case int() | float() if name.endswith(("S", "TimeRemaining")) or name in DURATIONS:
            return short_time(value)
        case float():
            return f"{value:.0%}" if name == "progress" else number(value)
        case list():
            return _series(value) or cut(", ".join(cell("", one) for one in value), MOST_LIST_TEXT)
        case dict():
            return _object(value)
        case _:
            return str(value)


def number(value: float) -> str:
    """Six digits are enough for a person, but whole numbers stay whole."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def short_time(seconds: float) -> str:
    """`12ms`, `1.4s`, `45s`, `3m10s`."""
    if not isfinite(seconds) or seconds == 0 or abs(seconds) >= BRIEF_S:
        return duration(seconds)
    return f"{seconds * 1000:.3g}ms" if abs(seconds) < 0.9995 else f"{seconds:.2g}s"


def local_time(at_us: int) -> str:
    """`2026-11-20 22:45:07`, in the reader's zone."""
    return datetime.fromtimestamp(at_us / 1_000_000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(size_bytes: int) -> str:
    """`517 B`, `2.1 MiB`."""
    shown, unit = float(size_bytes), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if shown < 1024:
            break
        shown, unit = shown / 1024, bigger
    return f"{size_bytes} B" if unit == "B" else f"{shown:.1f} {unit}"


def cut(text: str, wide: int) -> str:
    return text if len(text) <= wide else text[: wide - 1] + "…"


def _object(value: dict[str, Json]) -> str:
    if "step" in value and "totalSteps" in value:
        total = value["totalSteps"]
        return f"{value['step']}/{total}" if total else f"step {value['step']}"
    return " ".join(f"{key}={cell(key, one)}" for key, one in value.items() if one not in (None, {}, []))


def _series(values: list[Json]) -> str:
    """Metric points as a sparkline with the last value; empty for any other list."""
    numbers: list[float] = []
    for point in values:
        number = point.get("value") if isinstance(point, dict) and "step" in point else None
        if not isinstance(number, int | float):
            return ""
        numbers.append(number)
    return f"{sparkline(numbers)} {numbers[-1]:.4g} ({len(numbers)} points)" if numbers else ""
