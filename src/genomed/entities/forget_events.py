"""What was forgotten, for whom, and where it had spread. No event holds the words that were erased."""

from msgspec import Struct


class ForgetRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="forget.requested"):
    """Somebody's words are to be erased; carrying it out follows.

    scope: `person`, `session`, `interaction` or `rows` (of the dataset that target names). target: who or what, as it
    was asked. interactions, items, blobs: how many. datasets: those that lose rows and are tainted; layers: those that
    learned from them; demoted: the active ones among them that were taken back.
    """

    scope: str
    target: str
    reason: str
    persona_id: str | None = None
    interactions: int = 0
    items: int = 0
    blobs: int = 0
    datasets: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    demoted: tuple[str, ...] = ()


class ForgetCarriedOut(Struct, frozen=True, kw_only=True, rename="camel", tag="forget.carried_out"):
    """The files are rewritten too. rows: lines that went from datasets; samples: files of judged answers that went."""

    rows: int
    samples: int


class InteractionForgotten(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.forgotten"):
    """Its words and those of its judges are gone; that it happened stands."""

    forget_id: str


class RowsForgotten(Struct, frozen=True, kw_only=True, rename="camel", tag="dataset.rows_forgotten"):
    """A frozen dataset lost rows: it is tainted, and no new job trains on it.

    row_ids: named where rows were asked for by id; else they are those that the forgotten interactions and items made.
    """

    forget_id: str
    rows: int
    row_ids: tuple[str, ...] = ()


class DatasetArchived(Struct, frozen=True, kw_only=True, rename="camel", tag="dataset.archived"):
    """No new job trains on it; it stays readable."""

    reason: str


ForgetEvent = ForgetRequested | ForgetCarriedOut
