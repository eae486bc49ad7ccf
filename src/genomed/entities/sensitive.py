"""What must not leave the house in training rows: credentials, and personal data. Pure; finds and masks.

Patterns are those that the issuers document for their own keys; numbers with a check digit are checked, so that a
long number is not taken for a card. It finds what has a form; a name or an address has none and is not found.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from re import Pattern

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.json_value import JsonObject
from genomed.entities.rows import (
    ChatRow,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    ToolCall,
    TripletRow,
    VectorPairRow,
)

_CREDENTIALS: dict[str, Pattern[str]] = {
    # To its last line, or for want of one as far as it may reach: what follows the first line is the key.
    "private_key": re.compile(
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:[^-]|-(?!----)){0,16384}(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----)?"
    ),
    "openai_key": re.compile(r"\bsk-(?:proj-|svcacct-|admin-|ant-)?[A-Za-z0-9_-]{20,}"),
    "fireworks_key": re.compile(r"\bfw_[A-Za-z0-9]{20,}"),
    "huggingface_token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "github_token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
    "gitlab_token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "aws_access_key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "google_key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "slack_token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "stripe_key": re.compile(r"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    "genomed_token": re.compile(r"\bgnt_[A-Za-z0-9_-]{43}"),
    "json_web_token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
}


_MARKS: dict[str, tuple[str, ...]] = {
    "private_key": ("PRIVATE KEY-----",),
    "openai_key": ("sk-",),
    "fireworks_key": ("fw_",),
    "huggingface_token": ("hf_",),
    "github_token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "gitlab_token": ("glpat-",),
    "aws_access_key": ("AKIA", "ASIA"),
    "google_key": ("AIza",),
    "slack_token": ("xox",),
    "stripe_key": ("k_live_",),
    "genomed_token": ("gnt_",),
    "json_web_token": ("eyJ",),
}
"""What every credential of a kind holds: looking for it first is fifty times faster than the patterns themselves."""


def _card_number(text: str) -> bool:
    """Luhn (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d if n % 2 == 0 else d * 2 - 9 * (d > 4) for n, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    """Mod 97 (ISO 13616)."""
    compact = text.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _always(_: str) -> bool:
    return True


_PERSONAL: dict[str, tuple[Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(r"\b[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b"), _always),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), _iban),
    "card_number": (re.compile(r"(?<!\d)(?<!\d\.)\d(?:[ -]?\d){12,18}(?!\.?\d)"), _card_number),
    "us_social_security_number": (
        re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"),
        _always,
    ),
    "phone_number": (
        re.compile(r"(?<![\w.+-])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,12}(?![\w-])"),
        _always,
    ),
}


Place = tuple[str, str]
"""A field path relative to the row, and the text that stands there."""

Rewrite = Callable[[str], str]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that must not leave: what it is, in which field, and from where to where (characters)."""

    kind: str
    field: str
    start: int
    end: int


def credentials_in(row: Row) -> dict[str, int]:
    """Kind -> how often; empty when there is none."""
    return _counted(finding.kind for finding in credential_findings(row))


def personal_data_in(row: Row) -> dict[str, int]:
    """Kind -> how often, as `masked` counts it."""
    return masked(row)[1]


def credential_findings(row: Row) -> list[Finding]:
    return [finding for field, text in texts(row) for finding in _credentials(field, text)]


def personal_findings(row: Row) -> list[Finding]:
    return [
        Finding(kind=kind, field=field, start=found.start(), end=found.end())
        for field, text in texts(row)
        for kind, (pattern, real) in _PERSONAL.items()
        for found in pattern.finditer(text)
        if real(found.group())
    ]


def masked(row: Row) -> tuple[Row, dict[str, int]]:
    """The row with personal data replaced by its kind in brackets, and how often each kind was."""
    counts: dict[str, int] = {}
    made = _rewritten(row, lambda text: _without_personal_data(text, counts))
    return (made, counts) if counts else (row, counts)


def without_credentials(row: Row) -> tuple[Row, dict[str, int]]:
    """The row with credentials replaced by their kind in brackets, and how often each kind was. A private key goes to
    the end of its text: what follows its first line is the key.
    """
    counts: dict[str, int] = {}
    made = _rewritten(row, lambda text: _without_credentials(text, counts))
    return (made, counts) if counts else (row, counts)


def texts(row: Row) -> Iterator[Place]:
    """Every text in a row that a person or a model wrote, keys of objects included."""
    match row:
        case ChatRow():
            yield from _said("messages", row.messages)
            yield from _within("tools", row.tools)
        case PreferenceRow():
            for name, messages in (("prompt", row.prompt), ("chosen", row.chosen), ("rejected", row.rejected)):
                yield from _said(name, messages)
            yield from _within("tools", row.tools)
        case LabelledRow():
            for name, messages in (("prompt", row.prompt), ("completion", row.completion)):
                yield from _said(name, messages)
        case RaftRow():
            yield "question", row.question
            yield from _within("documents", row.documents)
            yield "answer", row.answer
        case TripletRow():
            yield from (("anchor", row.anchor), ("positive", row.positive))
            yield from _within("negatives", row.negatives)
        case RankingRow():
            yield from (("query", row.query), ("document", row.document))
        case VectorPairRow():
            yield from _within("text", row.text)
        case RecordRow():
            yield "task", row.task
            yield from _within("data", row.data)


def _said(field: str, messages: Sequence[Message]) -> Iterator[Place]:
    for n, message in enumerate(messages):
        where = f"{field}[{n}]"
        for name, text in (("content", message.content), ("name", message.name)):
            if text:
                yield f"{where}.{name}", text
        for m, call in enumerate(message.tool_calls or ()):
            yield from _within(f"{where}.tool_calls[{m}].function.arguments", _json_or_text(call.function.arguments))


def _json_or_text(text: str) -> object:
    """What stands in JSON's escapes would not be seen in the text itself."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _may_be_a_card(value: object) -> bool:
    """A number without quotes: those of cards begin with 3 to 6, and the times that machines write (13 or 16 digits) do
    not, for some centuries.
    """
    return isinstance(value, int) and 10**12 <= value < 10**19 and str(value)[0] in "3456"


def _within(field: str, value: object) -> Iterator[Place]:
    if isinstance(value, str):
        yield field, value
    elif _may_be_a_card(value):
        yield field, str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{field}.{key}", str(key)
            yield from _within(f"{field}.{key}", inner)
    elif isinstance(value, Sequence):
        for n, inner in enumerate(value):
            yield from _within(f"{field}[{n}]", inner)


def _rewritten(row: Row, rewrite: Rewrite) -> Row:
    """The same row, each of its texts rewritten."""

    def turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(_rewritten_turn(message, rewrite) for message in messages)

    match row:
        case ChatRow():
            return replace(row, messages=turns(row.messages), tools=_rewritten_tools(row.tools, rewrite))
        case PreferenceRow():
            return replace(
                row,
                prompt=turns(row.prompt),
                chosen=turns(row.chosen),
                rejected=turns(row.rejected),
                tools=_rewritten_tools(row.tools, rewrite),
            )
        case LabelledRow():
            return replace(row, prompt=turns(row.prompt), completion=turns(row.completion))
        case RaftRow():
            documents = tuple(map(rewrite, row.documents))
            return replace(row, question=rewrite(row.question), documents=documents, answer=rewrite(row.answer))
        case TripletRow():
            negatives = tuple(map(rewrite, row.negatives))
            return replace(row, anchor=rewrite(row.anchor), positive=rewrite(row.positive), negatives=negatives)
        case RankingRow():
            return replace(row, query=rewrite(row.query), document=rewrite(row.document))
        case VectorPairRow():
            return replace(row, text=None if row.text is None else rewrite(row.text))
        case RecordRow():
            return replace(row, task=rewrite(row.task), data=_rewritten_object(row.data, rewrite))


def _rewritten_turn(message: Message, rewrite: Rewrite) -> Message:
    return replace(
        message,
        content=None if message.content is None else rewrite(message.content),
        name=None if message.name is None else rewrite(message.name),
        tool_calls=message.tool_calls and tuple(_rewritten_call(call, rewrite) for call in message.tool_calls),
    )


def _rewritten_call(call: ToolCall, rewrite: Rewrite) -> ToolCall:
    """JSON stays JSON, and stays as it was written where nothing is found in it."""
    given = _json_or_text(call.function.arguments)
    made = _rewritten_value(given, rewrite)
    if made == given:
        return call
    text = made if isinstance(made, str) and isinstance(given, str) else msgspec.json.encode(made).decode()
    return replace(call, function=replace(call.function, arguments=text))


def _rewritten_tools(tools: tuple[JsonObject, ...] | None, rewrite: Rewrite) -> tuple[JsonObject, ...] | None:
    return tools and tuple(_rewritten_object(tool, rewrite) for tool in tools)


def _rewritten_object(found: Mapping[str, object], rewrite: Rewrite) -> JsonObject:
    """Two keys that become the same are told apart, so that no value is lost."""
    made: JsonObject = {}
    for key, value in found.items():
        name = rewritten = rewrite(key)
        times = 1
        while name in made:
            times += 1
            name = f"{rewritten} {times}"
        made[name] = _rewritten_value(value, rewrite)
    return made


def _rewritten_value(value: object, rewrite: Rewrite) -> object:
    if isinstance(value, str):
        return rewrite(value)
    if _may_be_a_card(value):
        text = rewrite(str(value))
        return value if text == str(value) else text
    if isinstance(value, Mapping):
        return _rewritten_object(value, rewrite)
    if isinstance(value, Sequence):
        return [_rewritten_value(inner, rewrite) for inner in value]
    return value


def looks_like_a_credential(text: str) -> bool:
    return any(pattern.search(text) for _, pattern in _possible(text))


def _possible(text: str) -> list[tuple[str, Pattern[str]]]:
    return [(kind, _CREDENTIALS[kind]) for kind, marks in _MARKS.items() if any(mark in text for mark in marks)]


def _credentials(field: str, text: str) -> Iterator[Finding]:
    for kind, pattern in _possible(text):
        for found in pattern.finditer(text):
            yield Finding(kind=kind, field=field, start=found.start(), end=found.end())


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _without_credentials(text: str, counts: dict[str, int]) -> str:
    for kind, pattern in _possible(text):
        text, times = pattern.subn(f"[{kind}]", text)
        if times:
            counts[kind] = counts.get(kind, 0) + times
    return text


def _without_personal_data(text: str, counts: dict[str, int]) -> str:
    for kind, (pattern, real) in _PERSONAL.items():

        def mask(found: re.Match[str], kind: str = kind, real: Callable[[str], bool] = real) -> str:
            if not real(found.group()):
                return found.group()
            counts[kind] = counts.get(kind, 0) + 1
            return f"[{kind}]"

        text = pattern.sub(mask, text)
    return text
