"""Answers that were approved, one chat row each. Unapproved ones never; unjudged ones only when they are asked for."""

from collections.abc import Iterable, Iterator

from genomed.curation.conversion.material import WITHHELD, Material, sound, taught_answer, unlearned
from genomed.curation.conversion.options import SftOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import InteractionBody
from genomed.entities.rows import ChatRow


def sft(materials: Iterable[Material], options: SftOptions, tally: Tally) -> Iterator[Lesson]:
    for material in materials:
        tally.look()
        row = _row(material, options, tally)
        if row is not None:
            tally.made += 1
            yield material.lesson(row)


def chat_row(material: Material, body: InteractionBody, *, history: bool) -> ChatRow:
    """history: the persona's turns in the input are learned too; else they stay there with weight 0."""
    said = body.input if history else tuple(map(unlearned, body.input))
    return ChatRow(messages=(*said, taught_answer(material, body)), tools=body.tools or None)


def _row(material: Material, options: SftOptions, tally: Tally) -> ChatRow | None:
    interaction, own = material.interaction, material.interaction_id
    if material.body is None or interaction.forgotten:
        tally.leave_out("erased", "its words are gone", own)
    elif interaction.searched:
        tally.leave_out("search", "a search is no answer; the method triplets learns from it", own)
    elif interaction.withheld:
        tally.leave_out(*WITHHELD, own)
    elif interaction.quality is None and not options.unjudged:
        tally.leave_out("unjudged", "nobody judged it; ask for these with unjudged", own)
    elif not interaction.usable:
        tally.leave_out("rejected", "its quality is below 0.5", own)
    else:
        row = chat_row(material, material.body, history=options.history)
        if sound(row):
            return row
        tally.leave_out("unfit", "its turns cannot be trained on", own)
    return None
