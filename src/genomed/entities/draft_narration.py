"""What happened to drafts and to the datasets frozen of them, in a sentence each. Pure; never a word of a row."""

from genomed.entities import draft_events as d
from genomed.entities.forget_events import DatasetArchived, RowsForgotten


def draft_line(event: object) -> str | None:
    """None for what happened to neither."""
    match event:
        case d.DraftOpened():
            return f"draft {event.name} opened for {event.row_kind} rows of {event.persona_id}, policy {event.policy}"
        case d.SegmentAdded():
            return f"{event.rows} rows added from {event.file_name} ({event.format})"
        case d.InteractionsAttached():
            where = f" in {event.domain}" if event.domain is not None else ""
            return f"interactions{where} up to position {event.through_position} attached, by {event.method}"
        case d.ReviewAttached():
            by = f" of {event.recipe}" if event.recipe is not None else ""
            return f"review batch {event.batch_id}{by} attached"
        case d.SegmentRemoved():
            return f"{event.rows} rows of {event.file_name} taken out"
        case d.SourceDetached():
            return f"{_source(event)} detached"
        case d.SplitChosen():
            return f"{event.eval_share:.0%} of its rows are held out, by seed {event.seed}"
        case d.CleaningChosen():
            return "other cleaning rules were chosen"
        case d.DraftFrozen():
            return f"version {event.version} frozen: {event.dataset_id}"
        case d.DraftArchived() | DatasetArchived():
            return f"archived: {event.reason}"
        case RowsForgotten():
            return f"{event.rows} rows forgotten ({event.forget_id}): nothing new learns from it"
        case _:
            return None


def _source(event: d.SourceDetached) -> str:
    if event.batch_id is not None:
        return f"review batch {event.batch_id}"
    where = f" in {event.domain}" if event.domain is not None else ""
    return f"interactions{where}, by {event.method},"
