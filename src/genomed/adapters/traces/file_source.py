"""A file of traces as a source: pages of the spans that its format finds in it.

A file ends, and is exported anew as a whole: so after its end the next reading begins at its start, and what is known
is known. Knows no format.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from anyio import to_thread

from genomed.adapters.traces.file_objects import FileEnd, objects_at
from genomed.curation.formats.objects import BadObject
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.trace import Span, SpanPage, Window


class Unreadable(NamedTuple):
    """reason: a word to count by."""

    reason: str


class _Place(NamedTuple):
    """Which object of the file, and which of the spans that it tells."""

    of_object: int
    within: int


class TraceFormat(Protocol):
    """How the objects of a file tell spans. One per reading: it may remember what it has seen.

    notes: it wants to be shown everything first. remembers: what an object tells depends on those before it.
    """

    notes: bool
    remembers: bool

    def note(self, found: JsonObject, /) -> None:
        """Shown every object before any is asked for spans: judgements may stand after what they judge."""
        ...

    def spans(self, found: JsonObject) -> Iterator[Span | Unreadable]: ...

    def file_ended(self) -> Iterator[Span | Unreadable]:
        """What is only complete at the end of a file; another one may come."""
        ...

    def rest(self) -> Iterator[Span | Unreadable]:
        """What is only complete at the end."""
        ...


class FileSource:
    """Fulfils entities.trace.TraceSource."""

    def __init__(self, path: str, made: Callable[[], TraceFormat]) -> None:
        self._path, self._made = path, made

    async def page(self, *, after: str | None, limit: int, window: Window) -> SpanPage:
        return await to_thread.run_sync(self._page, _place(after), limit, window)

    async def close(self) -> None:
        return

    def _page(self, begin: _Place, limit: int, window: Window) -> SpanPage:
        taken: list[Span | Unreadable] = []
        end: _Place | None = None
        for place, one in self._placed(begin):
            if len(taken) == limit:
                end = place
                break
            if isinstance(one, Unreadable) or window.holds(one.started_us):
                taken.append(one)
        return SpanPage(
            spans=tuple(one for one in taken if isinstance(one, Span)),
            cursor=None if end is None else f"{end.of_object}.{end.within}",
            more=end is not None,
            skipped=dict(Counter(one.reason for one in taken if isinstance(one, Unreadable))),
        )

    def _placed(self, begin: _Place) -> Iterator[tuple[_Place, Span | Unreadable]]:
        """From there on. What was passed is not mapped again, where the format can do without."""
        form = self._made()
        for found in objects_at(self._path) if form.notes else ():
            if isinstance(found, dict):
                form.note(found)
        told = 0
        for n, found in enumerate(objects_at(self._path)):
            told = n + 1
            if n < begin.of_object and not form.remembers:
                continue
            yield from self._from(begin, n, _told(form, found))
        yield from self._from(begin, told, form.rest())

    def _from(
        self, begin: _Place, n: int, made: Iterator[Span | Unreadable]
    ) -> Iterator[tuple[_Place, Span | Unreadable]]:
        for within, one in enumerate(made):
            place = _Place(n, within)
            if place >= begin:
                yield place, one


def _told(form: TraceFormat, found: JsonObject | BadObject | FileEnd) -> Iterator[Span | Unreadable]:
    match found:
        case FileEnd():
            yield from form.file_ended()
        case BadObject():
            yield Unreadable("no_json")
        case _:
            try:
                yield from form.spans(found)
            except RecursionError:
                yield Unreadable("too_deep")


def _place(after: str | None) -> _Place:
    if after is None:
        return _Place(0, 0)
    told = after.split(".")
    if len(told) != len(_Place._fields) or not all(part.isascii() and part.isdecimal() for part in told):
        raise InvalidRequest.of([Problem(field="cursor", message=f"{after!r} is no place in a file")])
    return _Place(int(told[0]), int(told[1]))
