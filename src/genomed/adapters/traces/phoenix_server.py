"""A live Arize Phoenix server as a source of traces: spans with their annotations, in the order of their arrival.

Annotations come through `arize-phoenix-client`; spans through its HTTP client, because its own method hides where a
page ends. New is what arrived since, whenever it says that it started. Behind that, what started lately is shown once
more, for the annotations that came meanwhile.
"""

from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, cast

import msgspec
from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.traces.file_source import Unreadable
from genomed.adapters.traces.phoenix_records import phoenix_span, session_annotation
from genomed.adapters.traces.times import moment_of, us_of
from genomed.entities.errors import (
    Forbidden,
    GenomeError,
    InvalidRequest,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    Problem,
    Transient,
    Unsupported,
)
from genomed.entities.json_value import JsonObject
from genomed.entities.ports import Secrets
from genomed.entities.trace import Span, SpanPage, TraceSettings, Window

if TYPE_CHECKING:
    import httpx

PACKAGE = "arize-phoenix-client"
MAX_PAGE = 500
"""Spans of one question; the server takes up to 1000, and its answer is held as a whole."""

SESSIONS_ASKED = 50
"""At once: they travel in the question's address."""


class _Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The cursor. newest: the span that arrived last of those seen. page: the server's own cursor, in the middle of a
    sweep. began: `newest` before this sweep. back: the new ones are through, the earlier ones are looked at again.
    top_us: the latest start that was seen.
    """

    newest: str | None = None
    page: str | None = None
    began: str | None = None
    back: bool = False
    top_us: int | None = None


class _Page(Struct, frozen=True):
    data: list[JsonObject]
    next_cursor: str | None = None


class _Opened:
    def __init__(self, settings: TraceSettings, key: str | None) -> None:
        """Runs in a thread: the SDK takes a second to load, and certificates are files."""
        import httpx
        from phoenix.client import AsyncClient

        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        base_url = (settings.url or "").rstrip("/")
        self.http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=settings.timeout_s)
        self.client: AsyncClient = AsyncClient(http_client=self.http)


class PhoenixServer:
    """Fulfils entities.trace.TraceSource."""

    def __init__(self, settings: TraceSettings, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._opened: _Opened | None = None

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.http.aclose()

    async def page(self, *, after: str | None, limit: int, window: Window) -> SpanPage:
        place, room = _place(after), min(limit, MAX_PAGE)
        opened = await self._open()
        listed: dict[str, JsonObject] = {}
        unnamed: list[JsonObject] = []
        more = True
        while more and room > 0:
            answer = await self._spans(opened, place, room, window)
            for one in answer.data:
                own = _own_id(one)
                if own is None:
                    unnamed.append(one)
                else:
                    listed[own] = one
            room -= len(answer.data)
            place, more = self._gone_on(place, answer)
        found = [*listed.values(), *unnamed]
        judged, whole = await self._annotations(opened, found), await self._of_sessions(opened, found)
        spans: list[Span] = []
        skipped: Counter[str] = Counter()
        for one in found:
            span = phoenix_span(one, judged.get(_span_id(one), []))
            if isinstance(span, Unreadable):
                skipped[span.reason] += 1
            else:
                episodes = tuple(session_annotation(told) for told in whole.get(span.session_id or "", []))
                spans.append(replace(span, annotations=(*span.annotations, *episodes)))
        cursor = msgspec.json.encode(place).decode()
        return SpanPage(spans=tuple(spans), cursor=cursor, more=more, skipped=dict(skipped))

    def _gone_on(self, place: _Place, answer: _Page) -> tuple[_Place, bool]:
        """Where the next question goes on, and whether this sweep has one."""
        starts = [us for us in (place.top_us, *(us_of(one.get("start_time")) for one in answer.data)) if us is not None]
        top_us = max(starts, default=None)
        named = _ids(answer.data)
        newest = named[-1] if named and not place.back else place.newest
        if answer.next_cursor is not None:
            return replace(place, page=answer.next_cursor, newest=newest, top_us=top_us), True
        if place.began is not None and not place.back and self._settings.overlap_s > 0:
            return _Place(newest=newest, began=place.began, back=True, top_us=top_us), True
        return _Place(newest=newest, top_us=top_us), False

    async def _open(self) -> _Opened:
        if self._opened is None:
            reference = self._settings.api_key
            key = None if reference is None else await self._secrets.reveal(reference)
            self._opened = await to_thread.run_sync(_Opened, self._settings, key)
        return self._opened

    async def _spans(self, opened: _Opened, place: _Place, limit: int, window: Window) -> _Page:
        """The server's cursor is the first that it shows: a known span comes first, and holds the place."""
        asked: dict[str, str] = {"limit": str(limit), "sort": "id", "order": "desc" if place.back else "asc"}
        floor = window.since_us
        if place.back and place.top_us is not None:
            floor = max(place.top_us - round(self._settings.overlap_s * 1e6), 0, floor or 0)
        if floor is not None:
            asked["start_time"] = moment_of(floor).isoformat()
        if window.until_us is not None:
            asked["end_time"] = moment_of(window.until_us).isoformat()
        cursor = place.page or (place.began if place.back else place.newest)
        if cursor is not None:
            asked["cursor"] = cursor
        import httpx

        from_project = f"v1/projects/{self._project}/spans"
        try:
            answer = await opened.http.get(from_project, params=asked)
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            self._refuse(trouble)
        page = self._read(answer.content, "spans")
        if not place.back and _backwards(_ids(page.data)):
            told = f"Phoenix at {self._settings.url} does not tell its spans in the order of their arrival"
            raise Unsupported(told, remedy="update that server")
        return page

    @property
    def _project(self) -> str:
        from urllib.parse import quote

        return quote(self._settings.project, safe="")

    async def _annotations(self, opened: _Opened, spans: list[JsonObject]) -> Mapping[str, list[JsonObject]]:
        found: dict[str, list[JsonObject]] = defaultdict(list)
        wanted = sorted({own for own in map(_span_id, spans) if own})
        if not wanted:
            return found
        import httpx

        try:
            told = await opened.client.spans.get_span_annotations(span_ids=wanted, project_identifier=self._project)
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            self._refuse(trouble)
        except (KeyError, ValueError) as trouble:
            raise MalformedResponse(f"{self._settings.url} answered no annotations: {trouble}") from trouble
        for one in told:
            record = cast("JsonObject", one)
            found[str(record.get("span_id"))].append(record)
        return found

    async def _of_sessions(self, opened: _Opened, spans: list[JsonObject]) -> Mapping[str, list[JsonObject]]:
        """Judgements of whole sessions. An older server keeps none, and says so as for a session it does not know."""
        found: dict[str, list[JsonObject]] = defaultdict(list)
        told = [attributes.get("session.id") for one in spans if isinstance(attributes := one.get("attributes"), dict)]
        wanted = sorted({own for own in told if isinstance(own, str) and own})
        for begin in range(0, len(wanted), SESSIONS_ASKED):
            place: str | None = None
            while True:
                asked: dict[str, str | list[str]] = {"session_ids": wanted[begin : begin + SESSIONS_ASKED]}
                answer = await self._session_page(opened, asked | ({} if place is None else {"cursor": place}))
                for one in answer.data:
                    found[str(one.get("session_id"))].append(one)
                place = answer.next_cursor
                if place is None:
                    break
        return found

    async def _session_page(self, opened: _Opened, asked: Mapping[str, str | list[str]]) -> _Page:
        import httpx

        try:
            answer = await opened.http.get(f"v1/projects/{self._project}/session_annotations", params=dict(asked))
            if answer.status_code in (404, 405):
                return _Page(data=[])
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            self._refuse(trouble)
        return self._read(answer.content, "session annotations")

    def _read(self, content: bytes, what: str) -> _Page:
        try:
            return msgspec.json.decode(content, type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError) as trouble:
            raise MalformedResponse(f"{self._settings.url} answered no page of {what}: {trouble}") from trouble

    def _refuse(self, trouble: "httpx.HTTPError | httpx.InvalidURL") -> NoReturn:
        """The failure in our words. Raises always."""
        import httpx

        where = f"Phoenix at {self._settings.url}"
        if isinstance(trouble, httpx.HTTPStatusError):
            raise _of_status(trouble.response.status_code, where, self._settings) from trouble
        raise Transient(self._secrets.redact(f"{where} does not answer: {trouble!r}")) from trouble


def _of_status(status: int, where: str, settings: TraceSettings) -> GenomeError:
    match status:
        case 401:
            remedy = "set api_key of this source to a reference such as env:PHOENIX_API_KEY"
            return MissingCredentials(f"{where} wants another key", remedy=remedy)
        case 403:
            return Forbidden(f"{where} does not let us read {settings.project}")
        case 404:
            return NotFound(f"{where} has no project {settings.project!r}", remedy="set project of this source")
        case 422:
            return InvalidRequest.of([Problem(field="cursor", message=f"{where} does not know this place any more")])
        case _:
            return Transient(f"{where} answered {status}")


def _span_id(found: Mapping[str, object]) -> str:
    context = found.get("context")
    return str(context.get("span_id") or "") if isinstance(context, dict) else ""


def _place(after: str | None) -> _Place:
    try:
        place = _Place() if after is None else msgspec.json.decode(after, type=_Place)
    except msgspec.DecodeError as trouble:
        raise InvalidRequest.of([Problem(field="cursor", message=f"is no place in a project: {trouble}")]) from trouble
    return place if place.back or place.page is not None else replace(place, began=place.newest)


def _own_id(found: JsonObject) -> str | None:
    """As the server orders spans; one without it is no span, and counted as such."""
    own = found.get("id")
    return own if isinstance(own, str) else None


def _ids(found: Sequence[JsonObject]) -> list[str]:
    return [own for own in map(_own_id, found) if own is not None]


def _backwards(ids: list[str]) -> bool:
    """An older server passes over the wish for an order: newest first. Its ids are `Span:7` in base64."""
    try:
        numbers = [int(b64decode(own, validate=True).rpartition(b":")[2]) for own in ids]
    except ValueError:
        return False
    return numbers != sorted(numbers)
