"""Plain chat logs: whole conversations (`messages`, or a list of turns), or a message per object with its session and
time. Messages without a session are one conversation per file.

Every turn of the persona becomes a span that answers a window of what was said before it. Knows no trace system.
"""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
from msgspec import Struct

from genomed.adapters.traces.file_source import Unreadable
from genomed.adapters.traces.times import us_of
from genomed.curation.span_attributes import Tree, as_text, decoded, items, text_at, tree_of
from genomed.curation.span_messages import messages_of
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message
from genomed.entities.trace import Span

WINDOW = 20
"""Turns before the answer; a longer conversation is cut from the front, at a turn of the other side."""

SESSIONS = ("session_id", "sessionId", "session", "conversation_id", "conversationId", "thread_id", "chat_id")
TIMES = ("time", "timestamp", "ts", "created_at", "createdAt", "date")
ROLES = ("role", "from", "author", "sender", "speaker")
TEXTS = ("content", "text", "value", "message")
LISTS = ("messages", "conversations", "turns", "data")
USERS = ("user_id", "userId", "person_id")


class _Talk(Struct, kw_only=True):
    """What a session said so far. pending: the persona's latest turn may go on in the next line."""

    session_id: str | None
    turns: list[Message]
    started_us: int | None = None
    user_id: str | None = None


class ChatLogFormat:
    """Fulfils TraceFormat. Memory holds a window of every session that is written message by message."""

    notes = False
    remembers = True

    def __init__(self, persona_id: str | None = None) -> None:
        """persona_id: a turn under this name is the persona's."""
        self._persona = None if persona_id is None else persona_id.lower()
        self._talks: dict[str | None, _Talk] = {}

    def note(self, _found: JsonObject, /) -> None:
        return

    def spans(self, found: JsonObject) -> Iterator[Span | Unreadable]:
        record = tree_of(found)
        session = _first(record, SESSIONS)
        listed = next((inner for name in LISTS if (inner := items(decoded(record.get(name))))), None)
        if listed is not None:
            talk = _Talk(session_id=session, turns=[], user_id=_first(record, USERS))
            began = _time(record)
            for turn in listed:
                yield from self._said(talk, tree_of(turn) if isinstance(turn, dict) else {}, began)
            yield from _answered(talk)
        else:
            talk = self._talks.setdefault(session, _Talk(session_id=session, turns=[], user_id=_first(record, USERS)))
            yield from self._said(talk, record, None)

    def file_ended(self) -> Iterator[Span | Unreadable]:
        """Sessions may go on in the next file; what has no session ends with its own."""
        talk = self._talks.pop(None, None)
        if talk is not None:
            yield from _answered(talk)

    def rest(self) -> Iterator[Span | Unreadable]:
        for talk in self._talks.values():
            yield from _answered(talk)
        self._talks.clear()

    def _said(self, talk: _Talk, record: Tree, began_us: int | None) -> Iterator[Span | Unreadable]:
        """A turn of the other side completes the persona's before it."""
        role = (_first(record, ROLES) or "").lower()
        role = "assistant" if role == self._persona else role
        told = next((record[name] for name in TEXTS if as_text(record.get(name)) is not None), None)
        given = {"role": role, "content": told}
        given |= {name: record[name] for name in ("tool_calls", "tool_call_id", "name") if name in record}
        made = messages_of([given])
        if not made:
            yield Unreadable("no_turn")
            return
        if made[0].role != "assistant":
            yield from _answered(talk)
        for message in made:
            _add(talk.turns, message)
        talk.started_us = _time(record) or began_us or talk.started_us
        if len(talk.turns) > 2 * WINDOW:
            talk.turns = talk.turns[:1] * (talk.turns[0].role == "system") + talk.turns[-WINDOW:]


def _first(record: Tree, names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := text_at(record, name)) is not None), None)


def _time(record: Tree) -> int | None:
    return next((us for name in TIMES if (us := us_of(record.get(name))) is not None), None)


def _add(turns: list[Message], message: Message) -> None:
    """Two lines of one speaker in a row are one turn."""
    last = turns[-1] if turns else None
    plain = last is not None and not (last.tool_calls or message.tool_calls or message.role == "tool")
    if plain and last is not None and last.role == message.role:
        turns[-1] = msgspec.structs.replace(last, content=f"{last.text}\n{message.text}")
    else:
        turns.append(message)


def _answered(talk: _Talk) -> Iterator[Span]:
    """A span, where the last turn is the persona's."""
    if not talk.turns or talk.turns[-1].role != "assistant":
        return
    *before, answer = talk.turns
    asked = _window(before)
    # What was said is the identity: two logs may both have a session `1`, and one log may be imported under two names.
    told = msgspec.json.encode((talk.session_id, asked, answer))
    known = sha256(told).hexdigest()
    yield Span(
        trace_id=talk.session_id or known,
        span_id=known[:32],
        name="chat",
        kind="LLM",
        input=asked,
        output=answer.text,
        output_message=answer if answer.tool_calls else None,
        session_id=talk.session_id,
        user_id=talk.user_id,
        started_us=talk.started_us,
    )


def _window(turns: list[Message]) -> tuple[Message, ...]:
    """A system turn stays; the rest begins with the other side."""
    system = tuple(turns[:1]) if turns and turns[0].role == "system" else ()
    cut = turns[len(system) :][-WINDOW:]
    begins = next((n for n, turn in enumerate(cut) if turn.role == "user"), len(cut))
    return (*system, *cut[begins:])
