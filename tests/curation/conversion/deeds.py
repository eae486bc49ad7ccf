"""Interactions with their words, as tests of conversions need them: captured, judged, searched."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from genomed.curation.conversion import convert
from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import Options
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.facts import BucketKey
from genomed.entities.interaction import FeedbackBody, InteractionBody, evolve
from genomed.entities.rows import ChatRow, Message, PreferenceRow, TripletRow
from genomed.entities.trace import SearchResult
from genomed.entities.types import FeedbackKind

Verdict = tuple[FeedbackGiven, FeedbackBody]

KEY = BucketKey(persona_id="ada", domain="cooking", base_model="tiny")


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str, weight: int | None = None) -> Message:
    return Message(role="assistant", content=text, weight=weight)


def judged(kind: str, *, edit: str | None = None, **more: Any) -> Verdict:
    """A judgement and its words; edit: the answer that would have been right."""
    event = FeedbackGiven(
        feedback_id=f"fb-{kind}-{edit}", kind=FeedbackKind(kind), sha256="b" * 64, size_bytes=9,
        corrected=edit is not None, **more
    )  # fmt: skip
    return event, FeedbackBody(salt="s", content="useless, as always", corrected_output=edit)


APPROVED = judged("approval")
REJECTED = judged("critique")


def did(
    number: int,
    *feedback: Verdict,
    said: str | tuple[Message, ...] = "Salt?",
    output: str | Message = "A spoon.",
    expected: str | None = None,
    session: str | None = None,
    results: Sequence[SearchResult] | None = None,
    erased: bool = False,
    happened_us: int | None = None,
    person: str | None = None,
    tools: tuple[dict[str, object], ...] = (),
) -> Material:
    words = output if isinstance(output, str) else output.text
    interaction = evolve(
        None,
        InteractionCaptured(
            bucket_id="bkt-1", bucket=KEY, sha256="a" * 64, size_bytes=9, expected=expected is not None,
            session_id=session, searched=results is not None, person_id=person, same=expected == words,
            happened_us=happened_us,
        ),
        at_us=number,
    )  # fmt: skip
    corrections: dict[str, FeedbackBody] = {}
    for n, (event, verdict) in enumerate(feedback):
        numbered = replace(event, feedback_id=f"fb-{n}", same=verdict.corrected_output == words)
        interaction = evolve(interaction, numbered, at_us=number)
        if numbered.corrected:
            corrections[numbered.feedback_id] = verdict
    body = InteractionBody(
        salt="s",
        input=(user(said),) if isinstance(said, str) else said,
        output=words,
        output_message=output if isinstance(output, Message) else None,
        expected_output=expected,
        thought="never to be learned",
        tools=tools,
        results=tuple(results or ()),
    )
    return Material(
        interaction_id=f"int-{number}",
        interaction=interaction,
        body=None if erased else body,
        corrections=corrections,
    )


def lessons(options: Options, *materials: Material) -> tuple[list[Lesson], dict[str, int]]:
    """What they become, and how many were left out for which reason."""
    tally = Tally("m")
    made = list(convert(materials, options, tally))
    return made, {step.step.removeprefix("m."): step.removed for step in tally.steps()[1:]}


def chats(made: Sequence[Lesson]) -> list[tuple[Message, ...]]:
    return [one.row.messages for one in made if isinstance(one.row, ChatRow)]


def pairs(made: Sequence[Lesson]) -> list[tuple[str, str]]:
    """(chosen, rejected) of each."""
    rows = [one.row for one in made if isinstance(one.row, PreferenceRow)]
    return [(row.chosen[0].text, row.rejected[0].text) for row in rows]


def threes(made: Sequence[Lesson]) -> list[tuple[str, str, tuple[str, ...]]]:
    rows = [one.row for one in made if isinstance(one.row, TripletRow)]
    return [(row.anchor, row.positive, row.negatives) for row in rows]
