"""Whole sessions, one chat row each: its turns as they happened, the system's turn once, only good answers learned.

A turn that is not to be learned stays in the conversation with weight 0, so that what follows still has a sense. So
does a corrected one in the middle: what the user said next was said to the answer that was given. Its correction is
learned where it ends the row, and by the methods sft and preference.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from genomed.curation.conversion.material import WITHHELD, Material, own_answer, sound, taught_answer, unlearned
from genomed.curation.conversion.options import SessionsOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import USABLE_ABOVE, InteractionBody
from genomed.entities.json_value import JsonObject
from genomed.entities.row_guards import Provenance
from genomed.entities.rows import ChatRow, Message

NO_SESSION = ("", "unknown")
"""Ids that trace systems write where there is none (reference cogniverse-ragd-ucotron.md 1.4)."""


class Turn(NamedTuple):
    """learned: the answer as it was given is to be learned. corrected: a better one is known."""

    material: Material
    body: InteractionBody
    learned: bool
    corrected: bool


class Refused(NamedTuple):
    reason: str
    note: str


def sessions(materials: Iterable[Material], options: SessionsOptions, tally: Tally) -> Iterator[Lesson]:
    """Every turn of a session must be in one call; turns of one moment stay in the order given."""
    for session_id, turns in _by_session(materials, tally).items():
        made = _conversation(turns, options)
        if isinstance(made, Refused):
            tally.leave_out(made.reason, made.note, session_id)
            continue
        row, used = made
        tally.made += 1
        people = {one.material.interaction.person_id for one in used}
        lesson = used[-1].material.lesson(row, origins=tuple(one.material.interaction_id for one in used))
        lesson = replace(lesson, provenance=_provenance(used))
        yield lesson if len(people) == 1 else _of_several(lesson)


def _provenance(turns: Sequence[Turn]) -> Provenance:
    """Of everything in it; its own words are those of any turn that is learned and nobody else judged."""
    found = [one.material.provenance for one in turns]
    learned = [known for known, turn in zip(found, turns, strict=True) if turn.learned and known.own]
    return Provenance(
        origin=turns[-1].material.interaction_id,
        sources=tuple(dict.fromkeys(source for one in found for source in one.sources)),
        own=bool(learned),
        by_agent=any(one.by_agent for one in learned),
    )


def _of_several(lesson: Lesson) -> Lesson:
    """No one person's: each is found by the interactions that made it."""
    return Lesson(
        row=lesson.row,
        group=lesson.group,
        origin=lesson.origin,
        source=lesson.source,
        session_id=lesson.session_id,
        origins=lesson.origins,
        provenance=lesson.provenance,
    )


def _by_session(materials: Iterable[Material], tally: Tally) -> dict[str, list[Material]]:
    found: dict[str, list[Material]] = {}
    for material in materials:
        tally.look()
        session_id = material.interaction.session_id
        if session_id is None or session_id.strip().lower() in NO_SESSION:
            tally.leave_out("no_session", "it belongs to no session", material.interaction_id)
        elif not material.interaction.searched:
            found.setdefault(session_id, []).append(material)
    return {session: sorted(turns, key=lambda one: one.interaction.happened_us) for session, turns in found.items()}


def _conversation(materials: Sequence[Material], options: SessionsOptions) -> tuple[ChatRow, list[Turn]] | Refused:
    turns = _turns(materials, options)
    if isinstance(turns, Refused):
        return turns
    while turns and not (turns[-1].learned or turns[-1].corrected):
        turns.pop()
    if not turns:
        return Refused("unjudged", "none of its answers was approved")
    if len(turns) < options.fewest_turns:
        return Refused("short", f"it has fewer than {options.fewest_turns} turns up to the last one to learn")
    if options.whole_only and not all(one.learned for one in turns):
        return Refused("not_whole", "not every answer of it is to be learned")
    messages = _messages(turns, options.system)
    if isinstance(messages, Refused):
        return messages
    row = ChatRow(messages=messages, tools=_tools(turns) or None)
    return (row, turns) if sound(row) else Refused("unfit", "its turns cannot be trained on")


def _turns(materials: Sequence[Material], options: SessionsOptions) -> list[Turn] | Refused:
    outcomes = [one.interaction.outcome for one in materials if one.interaction.outcome is not None]
    if options.require_outcome and not outcomes:
        return Refused("no_outcome", "nobody judged it as a whole")
    if outcomes and sum(outcomes) / len(outcomes) < USABLE_ABOVE:
        return Refused("failed", "as a whole it was judged below 0.5")
    found = []
    for one in materials:
        if one.body is None or one.interaction.forgotten:
            return Refused("erased", "the words of a turn are gone")
        if one.interaction.withheld:
            return Refused(*WITHHELD)
        corrected = taught_answer(one, one.body) != own_answer(one.body)
        judged = one.interaction.quality is not None or options.unjudged
        learned = judged and one.interaction.usable and not corrected
        found.append(Turn(material=one, body=one.body, learned=learned, corrected=corrected))
    return found


def _messages(turns: Sequence[Turn], system: str | None) -> tuple[Message, ...] | Refused:
    """said: what has been said so far, as it was said: a turn's input may repeat all or the end of it."""
    said: list[Message] = []
    row: list[Message] = []
    opening = _opening(turns, system)
    for turn in turns:
        asked = [one for one in turn.body.input if one.role != "system"]
        new = asked[_overlap(said, asked) :]
        if said and any(one.role == "assistant" and one.tool_calls is None for one in new):
            return Refused("other_history", "a turn repeats a conversation that is not this one")
        answer = own_answer(turn.body)
        said += [*new, answer]
        row += [*map(unlearned, new), _answer(turn, answer, last=turn is turns[-1])]
    return (*opening, *row)


def _opening(turns: Sequence[Turn], system: str | None) -> tuple[Message, ...]:
    if system is not None:
        return (Message(role="system", content=system),)
    return tuple(one for one in turns[0].body.input if one.role == "system")


def _overlap(said: Sequence[Message], asked: Sequence[Message]) -> int:
    """How many messages of `asked` repeat the end of `said`."""
    longest = min(len(said), len(asked))
    return next((n for n in range(longest, 0, -1) if list(said[-n:]) == list(asked[:n])), 0)


def _answer(turn: Turn, said: Message, *, last: bool) -> Message:
    if last and turn.corrected:
        return taught_answer(turn.material, turn.body)
    return said if turn.learned else replace(said, weight=0)


def _tools(turns: Sequence[Turn]) -> tuple[JsonObject, ...]:
    """What could be called in any of the turns, each once."""
    found: list[JsonObject] = []
    for turn in turns:
        found += [tool for tool in turn.body.tools if tool not in found]
    return tuple(found)
