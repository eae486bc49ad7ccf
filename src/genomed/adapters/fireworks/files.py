"""A job's metrics and logs, read through signed addresses, from where the last look ended.

Knows how to read on in a growing file and what its lines look like; the addresses are fetched anew for every look and
kept nowhere. What cannot be read is no trouble of the job's.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from genomed.adapters._http import Lost, Unsent
from genomed.adapters.fireworks.client import FireworksClient
from genomed.entities.errors import MalformedResponse
from genomed.entities.ports import MetricPoint, Notice
from genomed.entities.types import EventLevel

LONGEST_READ_BYTES = 4 << 20
"""Of one look; what lies behind it is read at the next."""

LONGEST_NOTICE = 300
MOST_LOG_NOTICES = 20
"""Per look. Trainer logs may quote training text, so only lines that complain are told, and only their beginnings."""

COMPLAINT = re.compile(rb"\b(WARN|WARNING|ERROR|CRITICAL|FATAL)\b|Traceback \(most recent call last\)")
ERROR_WORDS = (b"ERROR", b"CRITICAL", b"FATAL", b"Traceback")

STEP_NAMES = ("step", "global_step", "train/step", "train/global_step")
OUR_NAMES = {
    "loss": "loss",
    "train_loss": "loss",
    "train/loss": "loss",
    "eval_loss": "val_loss",
    "eval/loss": "val_loss",
    "valid_loss": "val_loss",
    "validation_loss": "val_loss",
    "accuracy": "accuracy",
    "eval_accuracy": "val_accuracy",
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
    "train/learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "train/grad_norm": "grad_norm",
    "tokens_per_second": "tokens_per_s",
}
"""The form of the file is published nowhere: these are the usual names, and any other number keeps its own."""

NOT_MEASURED = frozenset({*STEP_NAMES, "epoch", "train/epoch", "timestamp", "time", "_timestamp", "_runtime", "_step"})


class Piece(Struct, frozen=True, kw_only=True):
    """Whole lines, and where the next look begins. drained: there is no more now. readable: it could be looked at."""

    lines: tuple[bytes, ...]
    offset: int
    drained: bool = True
    readable: bool = True


async def read_on(client: FireworksClient, url: str, *, offset: int, ended: bool) -> Piece:
    """ended: the file grows no more, so its last line counts without a newline as well."""
    unread = Piece(lines=(), offset=offset, readable=False)
    last = offset + LONGEST_READ_BYTES - 1
    try:
        reply = await client.signed.send("GET", url, headers={"Range": f"bytes={offset}-{last}"})
    except (Unsent, Lost, MalformedResponse):  # the last: an address that is none
        return unread
    match reply.status:
        case 206:
            body = reply.body
        case 200:  # it gave the whole file: what was told before is left out
            body = reply.body[offset : last + 1]
        case 416:
            return Piece(lines=(), offset=offset)
        case _:
            return unread
    drained = len(body) < LONGEST_READ_BYTES
    whole = body if ended and drained else body[: body.rfind(b"\n") + 1]
    return Piece(lines=tuple(whole.splitlines()), offset=offset + len(whole), drained=drained)


def points_of(lines: tuple[bytes, ...], *, at_us: int) -> tuple[MetricPoint, ...]:
    """Lines that are no object with a step are left out."""
    return tuple(point for line in lines for point in _points(line, at_us))


def complaints(lines: tuple[bytes, ...], client: FireworksClient) -> tuple[Notice, ...]:
    """What the trainer warned of."""
    found = [line for line in lines if COMPLAINT.search(line)]
    told = tuple(
        Notice(
            level=EventLevel.ERROR if any(word in line for word in ERROR_WORDS) else EventLevel.WARNING,
            code="trainer_log",
            message=client.redact(line.decode(errors="replace").strip())[:LONGEST_NOTICE],
        )
        for line in found[:MOST_LOG_NOTICES]
    )
    if len(found) <= MOST_LOG_NOTICES:
        return told
    message = f"and {len(found) - MOST_LOG_NOTICES} lines more; see the job at Fireworks"
    return (*told, Notice(level=EventLevel.WARNING, code="trainer_log", message=message))


def _points(line: bytes, at_us: int) -> Iterator[MetricPoint]:
    try:
        told = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    step = next((told[name] for name in STEP_NAMES if name in told), None)
    if isinstance(step, bool) or not isinstance(step, int | float):
        return
    seen: set[str] = set()
    for name, value in told.items():
        ours = OUR_NAMES.get(name, name.replace("/", "_")[:64])
        if name in NOT_MEASURED or ours in seen or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        seen.add(ours)
        yield MetricPoint(name=ours, step=int(step), value=float(value), at_us=at_us)
