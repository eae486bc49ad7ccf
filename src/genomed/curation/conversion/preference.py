"""A right answer preferred to what the persona said: the judge's edit where there is one, else the expected answer.

What was merely approved by one and rejected by another has one answer only, so there is nothing to prefer: counted.
"""

from collections.abc import Iterable, Iterator

from genomed.curation.conversion.material import WITHHELD, Material, own_answer, sound
from genomed.curation.conversion.options import PreferenceOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import InteractionBody
from genomed.entities.rows import Message, PreferenceRow


def preference(materials: Iterable[Material], options: PreferenceOptions, tally: Tally) -> Iterator[Lesson]:
    for material in materials:
        tally.look()
        if material.body is None or material.interaction.forgotten:
            tally.leave_out("erased", "its words are gone", material.interaction_id)
        elif material.interaction.searched:
            tally.leave_out(
                "search", "a search is no answer; the method triplets learns from it", material.interaction_id
            )
        elif material.interaction.withheld:
            tally.leave_out(*WITHHELD, material.interaction_id)
        else:
            yield from _pairs(material, material.body, options, tally)


def _pairs(material: Material, body: InteractionBody, options: PreferenceOptions, tally: Tally) -> Iterator[Lesson]:
    said, own = own_answer(body), material.interaction_id
    right = _right_answers(material, body)
    if not right:
        tally.leave_out(*_without_answer(material), own)
        return
    wanted = right if options.all_pairs else right[:1]
    better = [one for one in wanted if one != said]
    if not better:
        tally.leave_out("identical", "the right answer is what the persona said", own)
        return
    for chosen in better:
        row = PreferenceRow(prompt=body.input, chosen=(chosen,), rejected=(said,), tools=body.tools or None)
        if sound(row):
            tally.made += 1
            yield material.lesson(row)
        else:
            tally.leave_out("unfit", "its turns cannot be trained on", own)


def _right_answers(material: Material, body: InteractionBody) -> list[Message]:
    """Each different one once, the latest edit first and what was expected last."""
    texts = [
        words.corrected_output
        for record in reversed(material.interaction.feedback)
        if record.corrected and (words := material.corrections.get(record.feedback_id)) is not None
    ]
    texts.append(body.expected_output)
    return [Message(role="assistant", content=text) for text in dict.fromkeys(texts) if text is not None]


def _without_answer(material: Material) -> tuple[str, str]:
    marks = {None if record.mark is None else record.mark >= 0.5 for record in material.interaction.feedback}
    if {True, False} <= marks:
        return "identical", "approved and rejected, and nobody wrote another answer"
    return "single", "there is one answer only: nobody corrected it and none was expected"
