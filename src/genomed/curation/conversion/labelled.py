"""What the persona said, and whether it was wanted: one labelled row for each interaction that somebody marked.

The completion is always the persona's own answer. A correction teaches elsewhere (preference, sft); here it only keeps
an answer that was marked up from counting as wanted. Judgements that contradict each other give no row: counted.
"""

from collections.abc import Iterable, Iterator

from genomed.curation.conversion.material import WITHHELD, Material, own_answer, sound
from genomed.curation.conversion.options import LabelledOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import InteractionBody
from genomed.entities.rows import LabelledRow


def labelled(materials: Iterable[Material], options: LabelledOptions, tally: Tally) -> Iterator[Lesson]:
    del options  # there is nothing to choose yet
    for material in materials:
        tally.look()
        row = _row(material, tally)
        if row is not None:
            tally.made += 1
            yield material.lesson(row)


def _row(material: Material, tally: Tally) -> LabelledRow | None:
    own = material.interaction_id
    if material.body is None or material.interaction.forgotten:
        tally.leave_out("erased", "its words are gone", own)
    elif material.interaction.searched:
        tally.leave_out("search", "a search is no answer; the method triplets learns from it", own)
    elif material.interaction.withheld:
        tally.leave_out(*WITHHELD, own)
    elif material.body.tools:
        tally.leave_out("tools", "it could call tools, and a labelled row has no place for their descriptions", own)
    else:
        return _marked(material, material.body, tally)
    return None


def _marked(material: Material, body: InteractionBody, tally: Tally) -> LabelledRow | None:
    own, interaction = material.interaction_id, material.interaction
    if interaction.contradicted:
        tally.leave_out("contradiction", "its judgements contradict each other", own)
    elif interaction.thumb is None:
        note = "nobody said whether it was right; a correction alone is learned by preference"
        tally.leave_out("unjudged", note, own)
    else:
        row = LabelledRow(prompt=body.input, completion=(own_answer(body),), label=interaction.thumb)
        if sound(row):
            return row
        tally.leave_out("unfit", "its turns cannot be trained on", own)
    return None
