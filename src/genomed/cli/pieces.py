"""An answer shown while it comes: its words at once, and what is to say about it at the end."""

import sys
from collections.abc import Generator, Mapping

import msgspec
from msgspec.structs import replace

from genomed.cli.transport import Wire
from genomed.cli.wrapping import safe
from genomed.commands.context import CommandModule
from genomed.entities.wire import Frame, Reply


def comes_in_pieces(module: CommandModule) -> bool:
    return hasattr(module, "Piece")


def told(wire: Wire, module: CommandModule, params: Mapping[str, object]) -> Reply:
    """Writes the words as they come. The reply, without the words that were shown already."""
    shown = _Shown()
    try:
        reply = shown.all_of(wire.pieces(module.NAME, params))
    finally:
        if shown.anything:
            sys.stdout.write("\n\n")
    return _without_words(reply) if shown.anything else reply


class _Shown:
    anything = False

    def all_of(self, pieces: Generator[Frame, None, Reply]) -> Reply:
        while True:
            try:
                piece = next(pieces)
            except StopIteration as over:
                reply: Reply = over.value
                return reply
            sys.stdout.write(safe(_text(piece.data)))
            sys.stdout.flush()
            self.anything = True


def _text(data: bytes) -> str:
    return str(msgspec.json.decode(data, type=dict[str, object]).get("text", ""))


def _without_words(reply: Reply) -> Reply:
    fields = msgspec.json.decode(reply.result, type=dict[str, object])
    fields.pop("text", None)
    return replace(reply, result=msgspec.Raw(msgspec.json.encode(fields)))
