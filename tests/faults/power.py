"""What a disk may hold after the power went, given what was written to it and when it was synced.

A model of an honest disk: what was synced is there; of what was written since, any part may be, in any order, each
write whole or torn at a sector. Pure; knows nothing of SQLite or of journals.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.vfs import Op

SECTOR = 512
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Image:
    """instant: how many operations had been asked for. how: which of them arrived. The files are made on demand."""

    certain: Files
    arrived: Mapping[str, Sequence[Op]]
    instant: int
    how: str

    @property
    def files(self) -> Files:
        return {name: applied(content, self.arrived.get(name, ())) for name, content in self.certain.items()}


class Platter:
    """The disk at one instant: per file what is certain, and what was written since its last sync."""

    def __init__(self) -> None:
        self.certain: dict[str, bytes] = {}
        self.pending: dict[str, list[Op]] = {}

    def take(self, op: Op) -> None:
        match op.kind:
            case "create":
                self.certain.setdefault(op.name, b"")
            case "write" | "truncate":
                self.certain.setdefault(op.name, b"")
                self.pending.setdefault(op.name, []).append(op)
            case "sync":
                self.certain[op.name] = applied(self.certain.get(op.name, b""), self.pending.pop(op.name, []))
            case "delete":
                self.certain.pop(op.name, None)
                self.pending.pop(op.name, None)
            case _:
                pass


def applied(content: bytes, ops: Sequence[Op]) -> bytes:
    """Gaps between writes that arrived are zeros, as a file system shows blocks that were never written."""
    if not ops:
        return content
    made = bytearray(content)
    for op in ops:
        if op.kind == "truncate":
            del made[op.offset :]
            made.extend(bytes(op.offset - len(made)))
            continue
        made.extend(bytes(max(0, op.offset - len(made))))
        made[op.offset : op.offset + len(op.data)] = op.data
    return bytes(made)


def torn(op: Op, sectors: int) -> Op:
    """The first sectors of a write; of one shorter than a sector, half: no disk promises even that much."""
    kept = sectors * SECTOR if len(op.data) > SECTOR else len(op.data) // 2
    return Op("write", op.name, op.offset, op.data[:kept])


def images(ops: Sequence[Op], *, seed: int, samples: int) -> Iterator[Image]:
    """At every operation: nothing unsynced arrived, all of it, the last write torn, and `samples` random parts."""
    chance = random.Random(seed)
    platter = Platter()
    for instant, op in enumerate(ops, start=1):
        if op.kind == "delete":
            yield Image(dict(platter.certain), {}, instant, "the deletion did not arrive")
        platter.take(op)
        if op.kind not in ("create", "write", "truncate", "sync", "delete", "mark"):
            continue
        certain, pending = dict(platter.certain), {name: list(ops) for name, ops in platter.pending.items()}
        yield Image(certain, {}, instant, "nothing unsynced arrived")
        if not any(pending.values()):
            continue
        yield Image(certain, pending, instant, "all of it arrived")
        if op.kind == "write":
            half = torn(op, len(op.data) // SECTOR // 2)
            others = {**pending, op.name: [*pending[op.name][:-1], half]}
            yield Image(certain, others, instant, "the last write was torn")
        for _ in range(samples):
            yield Image(certain, _some(pending, chance), instant, "some of it arrived")


def _some(pending: Mapping[str, Sequence[Op]], chance: random.Random) -> dict[str, list[Op]]:
    """A part of what is pending, in an order of its own; now and then a write is torn."""
    chosen: dict[str, list[Op]] = {}
    for name, ops in pending.items():
        kept = [op for op in ops if chance.random() < 0.6]
        # Writes to one place may arrive in either order; a file's length changes in the order that was asked for.
        lengths = [sum(op.kind == "truncate" for op in kept[:at]) for at in range(len(kept))]
        order = sorted(range(len(kept)), key=lambda at: (lengths[at], kept[at].kind == "truncate", chance.random()))
        chosen[name] = [_perhaps_torn(kept[at], chance) for at in order]
    return chosen


def _perhaps_torn(op: Op, chance: random.Random) -> Op:
    if op.kind == "truncate" or chance.random() > 0.2:
        return op
    return torn(op, chance.randrange(len(op.data) // SECTOR + 1))
