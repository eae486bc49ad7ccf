"""Points in time as trace systems write them (ISO texts, numbers of four sizes) as microseconds since 1970. Pure."""

from datetime import UTC, datetime

from genomed.curation.span_attributes import number

_US_PER = ((1e17, 1e-3), (1e14, 1.0), (1e11, 1e3), (0.0, 1e6))
"""A number of this size or more is in nano-, micro-, milliseconds or seconds: until the year 5138 none is another."""


def us_of(value: object) -> int | None:
    """None for what is no time. A time without a zone is UTC, as all of these systems write it."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            pass
        else:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return round(moment.timestamp() * 1_000_000)
    told = None if isinstance(value, bool) else number(value)
    if told is None or told <= 0:
        return None
    return next(round(told * us) for size, us in _US_PER if told >= size)


def moment_of(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, tz=UTC)
