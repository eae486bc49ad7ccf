"""What a fuzzer throws bytes at, guided by the coverage of what reads them.

`python -m tests.fuzz.targets NAME -runs=N`; any other NAME is all of them. Each target may refuse what it is given as
data; anything else that escapes is a finding. Runs in a process of its own, since libFuzzer ends the process it ran in.
Every second input is bytes as they are, the others are JSON made of them: the parser is C, and no coverage leads
through it.
"""

import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris
from atheris import FuzzedDataProvider, instrument_imports  # pyright: ignore[reportAttributeAccessIssue]  # no stub
from tests.fuzz.made import thing

with instrument_imports(include=["genomed"]):
    import msgspec

    from genomed import commands
    from genomed.curation.formats.detection import FORMATS, detected, reader
    from genomed.curation.formats.objects import BadObject, json_objects
    from genomed.curation.formats.shape import Misfit
    from genomed.daemon.doors.bus_messages import Flaw, flaw_message, read_frame
    from genomed.daemon.doors.http_door import decoded
    from genomed.entities import event_codec
    from genomed.entities.checking import convert
    from genomed.entities.errors import GenomeError
    from genomed.entities.event_codec import encode, schema_of
    from genomed.entities.events import UnknownEvent
    from genomed.entities.narration import narrate
    from genomed.entities.wire import Frames

MODULES = tuple(commands.commands())
WORDS = sorted({name for one in FORMATS for name in one.fields} | {"role", "content", "rows"})
ENVELOPE = ("jsonrpc", "id", "method", "params", "idempotencyKey", "messageType", "correlationId", "payload", "2.0")


def names_within(struct: type) -> list[str]:
    """The wire names of a struct and of all that can stand in it."""
    _, found = msgspec.json.schema_components([struct], schema_hook=lambda _: {})
    return sorted({name for one in found.values() for name in one.get("properties", {})})


def said(data: bytes, names: Sequence[str]) -> bytes:
    """The bytes as they are, or an object made of them."""
    if not data or data[0] % 2:
        return data[1:]
    return msgspec.json.encode(thing(FuzzedDataProvider(data[1:]), names))


def body(data: bytes) -> None:
    """The body of a request, read as the params of a command that its first byte chooses."""
    module = MODULES[data[0] % len(MODULES)] if data else MODULES[0]
    try:
        convert(decoded(said(data[1:], PARAMS[module.NAME])) or {}, module.Params)
    except GenomeError as refusal:
        msgspec.json.encode(refusal.body())


def frame(data: bytes) -> None:
    """A frame of the bus: as many answers as there are calls in it, each valid JSON."""
    batch = read_frame(said(data, ENVELOPE), most=100)
    for item in batch.items:
        if isinstance(item, Flaw):
            msgspec.json.decode(flaw_message(item) or b"null")


def event(data: bytes) -> None:
    """An event as a later or a damaged log may hold it: read back, told and written without a loss, or kept unread."""
    type_ = TYPES[data[0] % len(TYPES)] if data else ""
    written = said(data[1:], FIELDS.get(type_, ()))
    tagged = written.replace(b"{", b'{"type":"' + type_.encode() + b'"' + (b"" if written == b"{}" else b","), 1)
    try:
        found = event_codec.decode(type_, 1, tagged)
    except msgspec.MsgspecError:
        return
    narrate(found)
    if not isinstance(found, UnknownEvent):
        assert event_codec.decode(type_, schema_of(type_), encode(found)) == found


def stream(data: bytes) -> None:
    """Server-sent events in two portions are those of one."""
    middle = data[0] % len(data) if data else 0
    try:
        once = Frames().feed(data)
    except UnicodeDecodeError:
        return
    cutter = Frames()
    assert [*cutter.feed(data[:middle]), *cutter.feed(data[middle:])] == once


def rows(data: bytes) -> None:
    """A file of rows in whatever format: told what it is, and each row read or named as a misfit."""
    found = [one for _, one in json_objects(io.BytesIO(said(data, WORDS)))]
    objects = [one for one in found if not isinstance(one, BadObject)]
    try:
        read = reader(detected(objects[:20]).format)
    except GenomeError:
        return
    for one in objects:
        try:
            read.read(one)
        except Misfit:
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "body": body, "frame": frame, "event": event, "stream": stream, "rows": rows,
}  # fmt: skip


def any_of_them(data: bytes) -> None:
    """All of the targets in one process: the first byte says which."""
    if data:
        list(TARGETS.values())[data[0] % len(TARGETS)](data[1:])


PARAMS = {module.NAME: names_within(module.Params) for module in MODULES}
FIELDS = {name: names_within(struct) for name, struct in event_codec.EVENT_TYPES.items()}
TYPES = (*event_codec.EVENT_TYPES, "a.later.build")


def words(path: Path) -> None:
    """A dictionary for libFuzzer: the names that params and events go by."""
    names = {name for module in MODULES for name in module.Params.__struct_encode_fields__}
    names |= set(event_codec.EVENT_TYPES)
    path.write_text("".join(f'"{name}"\n' for name in sorted(names)))


def main() -> None:
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        dictionary = Path(folder) / "words"
        words(dictionary)
        atheris.Setup([sys.argv[0], f"-dict={dictionary}", *options], TARGETS.get(name, any_of_them))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
