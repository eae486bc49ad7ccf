"""Spans into the log: what is new of them, and nothing twice. Used by trace-import.

An interaction's id follows from its span, a judgement's from its annotation. What the log has of a span stays as it was
first seen; an annotation that changed is judged anew. Knows no trace system.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import Context, as_text
from genomed.commands.feedback_targets import LONGEST_SESSION
from genomed.curation.spans import (
    LONGEST_NAME,
    Drawn,
    Unusable,
    differs,
    drawn,
    feedback_id_of,
    judged,
    of_session,
    session_of,
)
from genomed.entities.envelope import Blob, Write
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.facts import BucketKey
from genomed.entities.guards import untrusted
from genomed.entities.interaction import FeedbackBody, FeedbackRecord, Interaction, InteractionBody, heard_tools
from genomed.entities.trace import Annotation, Span


class Wanted(Struct, frozen=True, kw_only=True):
    """judgements: only annotations of these names; none named: all."""

    source: str
    bucket: BucketKey
    judgements: tuple[str, ...] = ()


def _said(judgement: FeedbackGiven | FeedbackRecord) -> tuple[object, ...]:
    """What it says but for words, to see whether one that came again says something else."""
    return (judgement.kind, judgement.score, judgement.helpful, judgement.metric, judgement.value, judgement.corrected)


def _later(given: FeedbackGiven, known: FeedbackGiven | FeedbackRecord) -> bool:
    """An older export does not take back what is known; where a source tells no times, what comes is the latest. Times
    may be whole seconds, in which a judge can change twice.
    """
    return given.judged_us is None or known.judged_us is None or given.judged_us >= known.judged_us


def _latest(annotations: Sequence[Annotation]) -> Sequence[Annotation]:
    """A folder may hold two exports: of two states of one annotation the later one, else the one that comes last."""
    return list({one.id: one for one in sorted(annotations, key=lambda one: one.judged_us or 0)}.values())


class _Kept(Struct, kw_only=True):
    """An interaction as it stands, and what this call adds to it. interaction: null for a new one.

    given: annotation id -> its latest judgement.
    """

    interaction_id: str
    version: int
    interaction: Interaction | None
    words: InteractionBody | None
    session_id: str | None
    given: dict[str, FeedbackGiven | FeedbackRecord]
    events: list[InteractionCaptured | FeedbackGiven]

    @property
    def dead(self) -> bool:
        return self.interaction is not None and self.interaction.forgotten


class Taking:
    """One call's worth. Its counts are read after all spans were taken and `settle` was awaited."""

    def __init__(self, wanted: Wanted, context: Context) -> None:
        self._wanted, self._context = wanted, context
        self._kept: dict[str, _Kept] = {}
        self._episodes: dict[tuple[str, str], Annotation] = {}
        self._blobs: dict[str, Blob] = {}
        self.skipped: Counter[str] = Counter()
        self.interactions = self.known = self.changed = self.feedback = 0

    async def take(self, span: Span) -> None:
        made = drawn(span, source=self._wanted.source, bucket=self._wanted.bucket, salt=self._context.salt())
        if isinstance(made, Unusable):
            self.skipped[made.reason] += 1
            return
        kept = await self._seen(self._guarded(span, made))
        if kept is None:
            return
        for annotation in _latest(span.annotations):
            if self._wanted.judgements and annotation.name not in self._wanted.judgements:
                self.skipped["judgement_not_asked"] += 1
            elif not of_session(annotation) or kept.session_id is None:
                await self._add(kept, annotation)
        self.hear(span)

    def hear(self, span: Span) -> None:
        """What is said beside this span of its whole session; the span itself may be none that is taken."""
        session_id = session_of(span)
        for annotation in _latest(span.annotations) if session_id is not None else ():
            if self._wanted.judgements and annotation.name not in self._wanted.judgements:
                continue
            if of_session(annotation) and session_id is not None:
                self._episodes[session_id, annotation.id] = annotation

    async def settle(self) -> None:
        """Judgements of whole sessions, when all spans of this call are known: they reach the earlier ones too."""
        for (session_id, _), annotation in self._episodes.items():
            members = [one.interaction_id for one in self._kept.values() if one.session_id == session_id]
            for interaction_id in dict.fromkeys([*members, *await self._members(session_id)]):
                kept = self._kept.get(interaction_id) or await self._load(interaction_id)
                if kept is not None and not kept.dead:
                    await self._add(kept, annotation)

    @property
    def writes(self) -> tuple[Write, ...]:
        changed = (one for one in self._kept.values() if one.events)
        return tuple(
            Write(stream=f"interaction/{one.interaction_id}", expected=one.version, events=tuple(one.events))
            for one in changed
        )

    @property
    def blobs(self) -> Sequence[Blob]:
        """Only of what is written."""
        wanted = [event.sha256 for one in self._kept.values() for event in one.events]
        return [self._blobs[sha256] for sha256 in wanted]

    async def _seen(self, made: Drawn) -> _Kept | None:
        """The interaction of this span; None where nothing may be added to it."""
        kept = self._kept.get(made.interaction_id) or await self._load(made.interaction_id)
        if kept is None:
            self.interactions += 1
            return self._new(made)
        self.known += 1
        if kept.dead:
            self.skipped["forgotten"] += 1
            return None
        if kept.interaction is not None and kept.interaction.bucket != self._wanted.bucket:
            self.skipped["imported_elsewhere"] += 1
            return None
        if kept.words is not None and differs(kept.words, made.words):
            self.changed += 1
        return kept

    def _guarded(self, span: Span, made: Drawn) -> Drawn:
        """With whose words are in it, and who of them is not trusted. A tool's own step is all its words."""
        own = (span.name[:LONGEST_NAME],) if span.kind == "TOOL" else ()
        tools = tuple(dict.fromkeys((*own, *heard_tools(made.words))))
        marks = (f"trace:{self._wanted.source}", *(f"tool:{one}" for one in tools))
        guards = self._context.guards.of(self._wanted.bucket.persona_id)
        by_agent = self._context.caller.agent
        captured = replace(made.captured, tools=tools, quarantine=untrusted(marks, guards), by_agent=by_agent)
        return made._replace(captured=captured)

    def _new(self, made: Drawn) -> _Kept:
        kept = _Kept(
            interaction_id=made.interaction_id,
            version=0,
            interaction=None,
            words=made.words,
            session_id=made.captured.session_id,
            given={},
            events=[made.captured],
        )
        self._blobs[made.body.sha256] = made.body
        self._kept[made.interaction_id] = kept
        return kept

    async def _load(self, interaction_id: str) -> _Kept | None:
        loaded = await self._context.log.load(f"interaction/{interaction_id}")
        if not isinstance(loaded.state, Interaction):
            return None
        raw = await self._context.log.blob(loaded.state.sha256)
        kept = _Kept(
            interaction_id=interaction_id,
            version=loaded.version,
            interaction=loaded.state,
            words=None if raw is None else msgspec.json.decode(raw, type=InteractionBody),
            session_id=loaded.state.session_id,
            given={one.annotation_id: one for one in loaded.state.feedback if one.annotation_id is not None},
            events=[],
        )
        self._kept[interaction_id] = kept
        return kept

    async def _members(self, session_id: str) -> list[str]:
        rows = await self._context.log.query(
            "SELECT interaction_id FROM interactions WHERE session_id = ?1 AND persona_id = ?2 AND source = ?3"
            " AND NOT forgotten ORDER BY happened_us, position LIMIT ?4",
            (session_id, self._wanted.bucket.persona_id, self._wanted.source, LONGEST_SESSION),
        )
        return [as_text(row[0]) for row in rows]

    async def _add(self, kept: _Kept, annotation: Annotation) -> None:
        """What is new, and what changed at the source: the newer judgement takes the older one's place."""
        made = judged(
            annotation,
            source=self._wanted.source,
            words=kept.words,
            session_id=kept.session_id,
            salt=self._context.salt(),
        )
        if isinstance(made, Unusable):
            self.skipped[made.reason] += 1
            return
        event, own = made.event, made.event.annotation_id or made.event.feedback_id
        known = kept.given.get(own)
        if known is not None:
            if not _later(event, known) or (_said(known) == _said(event) and await self._same_words(known, made.words)):
                return
            event = replace(event, feedback_id=feedback_id_of(own, known.feedback_id))
        kept.given[own] = event
        kept.events.append(event)
        self._blobs[made.body.sha256] = made.body
        self.feedback += 1

    async def _same_words(self, known: FeedbackGiven | FeedbackRecord, words: FeedbackBody) -> bool:
        """Erased words stay erased: nothing says that they changed."""
        fresh = self._blobs.get(known.sha256)
        raw = fresh.body if fresh is not None else await self._context.log.blob(known.sha256)
        if raw is None:
            return True
        before = msgspec.json.decode(raw, type=FeedbackBody)
        return (before.content, before.corrected_output) == (words.content, words.corrected_output)
