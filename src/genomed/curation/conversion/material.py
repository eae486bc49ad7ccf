"""One interaction as the conversions take it: what the log says of it, and the words where they still are.

Knows the shapes of answers. Does not know where bodies lie.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import FeedbackBody, Interaction, InteractionBody, right_answer
from genomed.entities.row_fitness import unfit
from genomed.entities.row_guards import Provenance
from genomed.entities.rows import Message, Row

WITHHELD = ("quarantine", "it waits in quarantine, or was discarded out of it: genome/quarantine-list")


class Material(Struct, frozen=True, kw_only=True):
    """body: null where it was erased. corrections: feedback id -> what a judge said, of those that hold an answer."""

    interaction_id: str
    interaction: Interaction
    body: InteractionBody | None
    corrections: Mapping[str, FeedbackBody] = {}

    @property
    def correction(self) -> FeedbackBody | None:
        """The words of the latest correction."""
        latest = self.interaction.correction
        return None if latest is None else self.corrections.get(latest.feedback_id)

    @property
    def group(self) -> str:
        return self.interaction.session_id or self.interaction_id

    def lesson(self, row: Row, *, origins: tuple[str, ...] = ()) -> Lesson:
        interaction = self.interaction
        return Lesson(
            row=row,
            group=self.group,
            origin=self.interaction_id,
            source=interaction.session_id or interaction.source or "",
            session_id=interaction.session_id,
            person_id=interaction.person_id,
            origins=origins,
            provenance=self.provenance,
        )

    @property
    def provenance(self) -> Provenance:
        return Provenance(
            origin=self.interaction_id,
            sources=self.interaction.sources,
            own=self.interaction.own_words,
            by_agent=self.interaction.by_agent,
        )


def own_answer(body: InteractionBody) -> Message:
    """What the persona said, with the calls it made."""
    return body.output_message or Message(role="assistant", content=body.output)


def taught_answer(material: Material, body: InteractionBody) -> Message:
    """What is to be learned: the correction, else the expected answer, else what the persona said."""
    if material.correction is None and body.expected_output is None:
        return own_answer(body)
    return Message(role="assistant", content=right_answer(body, material.correction))


def unlearned(message: Message) -> Message:
    """A turn of an input: nobody judged it here, so it is not learned."""
    return replace(message, weight=0) if message.role == "assistant" else message


def sound(row: Row) -> bool:
    return not unfit(row)
