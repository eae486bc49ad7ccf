"""How the daemon's log lines look: for people, or one JSON object per line; and what is bound to each of them.

Knows formats and the task that writes a line. What a line may not tell (secrets) is taken out by the RedactingFilter
of `secret_store`, which sees what is bound, too, and has the last word. Nothing here knows a command or a job.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar, Token
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from structlog.typing import Processor

Format = Literal["people", "json"]
EventDict = MutableMapping[str, Any]  # structlog's own: whatever a processor puts there

LONGEST_BOUND = 300
"""Characters of a bound value. An idempotency key has at most 256; what is longer is nobody's id."""

OURS = "genomed"

_BOOT = f"{os.getpid():x}"
_requests = count(1)


def request_id() -> str:
    """Names one request in the log, where the client gave no idempotency key. Unique in this run of the daemon."""
    return f"req-{_BOOT}-{next(_requests):x}"


_carried: ContextVar[Mapping[str, str]] = ContextVar("genomed.bound", default=MappingProxyType({}))
"""All of it in one variable: a command binds six values, and six variables cost ten microseconds of it, measured."""


def bind(**values: str | None) -> None:
    """As `bound`, until the task ends or the block around it: for a task that is about one thing."""
    _carried.set(_with(values))


class bound:  # noqa: N801  (read as a word: with bound(job=...))
    """Every line written within, in this task and those it starts, carries these. A null binds nothing."""

    __slots__ = ("_token", "_values")

    def __init__(self, **values: str | None) -> None:
        self._values = values
        self._token: Token[Mapping[str, str]] | None = None

    def __enter__(self) -> None:
        self._token = _carried.set(_with(self._values))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _carried.reset(self._token)


def _with(values: Mapping[str, str | None]) -> dict[str, str]:
    return {**_carried.get(), **{name: value for name, value in values.items() if value is not None}}


def set_up(*, level: str, form: Format | None, environment: Mapping[str, str], stream: TextIO | None = None) -> None:
    """The one handler of the root logger, in place of those before.

    form: null means JSON where the journal of systemd reads, and for people everywhere else.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.addFilter(BindingFilter())
    logging.basicConfig(handlers=[handler], force=True)
    change(level=level, form=form, environment=environment)


def change(*, level: str, form: Format | None, environment: Mapping[str, str]) -> None:
    """As the configuration says now. The handler stays, and with it the filters that were added to it since.

    Below info only our own lines are told: SQLite's library and providers' SDKs write out parameters and bodies there,
    and people's words may be among them.
    """
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    root.setLevel(level.upper())
    root.setLevel(max(root.level, logging.INFO))
    ours.setLevel(level.upper())
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler) and any(isinstance(it, BindingFilter) for it in handler.filters):
            journal = under_journal(environment, handler.stream)
            handler.setFormatter(line_formatter(form or ("json" if journal else "people"), prefixed=journal))


def under_journal(environment: Mapping[str, str], stream: TextIO) -> bool:
    """Whether systemd's journal reads this very stream: JOURNAL_STREAM holds its device and inode (systemd.exec(5))."""
    try:
        facts = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no descriptor, or closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"


class BindingFilter(logging.Filter):
    """Notes what is bound where the line is written. Stands before the RedactingFilter, which looks at it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.bound = _carried.get()
        return True


def line_formatter(form: Format, *, prefixed: bool = False) -> logging.Formatter:
    """prefixed: each line begins with its priority as sd-daemon(3) writes it, which the journal takes off again."""
    # Here, not above: it takes rich along where that is installed, a sixth of what the daemon imports, measured.
    from structlog.processors import JSONRenderer, TimeStamper  # noqa: PLC0415
    from structlog.stdlib import ProcessorFormatter  # noqa: PLC0415

    told: Processor = JSONRenderer(default=str) if form == "json" else _for_people
    formatter = ProcessorFormatter(
        foreign_pre_chain=[_level_and_source, TimeStamper(fmt="iso", utc=True, key="at"), _bound, _trouble],
        processors=[ProcessorFormatter.remove_processors_meta, told],
    )
    return PrefixedFormatter(formatter) if prefixed else formatter


class PrefixedFormatter(logging.Formatter):
    """A line of several lines is several entries of the journal: each gets the priority."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_priority(record.levelno)}>"
        return "\n".join(prefix + line for line in self._lines.format(record).split("\n"))


def _priority(level: int) -> int:
    """sd-daemon(3): 2 critical, 3 error, 4 warning, 6 information, 7 debug."""
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((priority for least, priority in steps if level >= least), 7)


def _level_and_source(_: object, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["level"], event["logger"] = record.levelname.lower(), record.name
    return event


def _bound(_: object, __: str, event: EventDict) -> EventDict:
    """A name of the line's own goes before one that is bound. Cut here, once no secret can be cut in half."""
    record: logging.LogRecord = event["_record"]
    for name, value in getattr(record, "bound", {}).items():
        event.setdefault(name, value[:LONGEST_BOUND])
    return event


def _trouble(_: object, __: str, event: EventDict) -> EventDict:
    """The exception as text: as the RedactingFilter left it, or, before there is one, as it comes."""
    record: logging.LogRecord = event["_record"]
    info, stack = event.pop("exc_info", None), event.pop("stack_info", None)
    if record.exc_text:
        event["exception"] = record.exc_text
    elif info and info[0] is not None:
        event["exception"] = logging.Formatter().formatException(info)
    if stack:
        event["stack"] = stack
    return event


def _for_people(_: object, __: str, event: EventDict) -> str:
    """Time, level, source, words, then what is bound; an exception below."""
    words = (event.pop("at"), event.pop("level").upper(), event.pop("logger"), str(event.pop("event")))
    below = [event.pop(name) for name in ("exception", "stack") if name in event]
    bound_to = [f"{name}={value if str(value).isprintable() else repr(value)}" for name, value in event.items()]
    return "\n".join([_harmless(" ".join([*words, *bound_to])), *(_harmless(str(one)) for one in below)])


def _harmless(text: str) -> str:
    """What strangers say stands in lines too: none of it forges another line, which begins at the margin with a time,
    or reaches a terminal as a command to it.
    """
    indented = text.replace("\n", "\n    ")
    return "".join(one if one in "\n\t" or one.isprintable() else ascii(one)[1:-1] for one in indented)
