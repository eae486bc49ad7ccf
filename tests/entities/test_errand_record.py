"""The life of an errand: given what happened, when this is asked, then that is decided. And the fold, on anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.errand_events import (
    ErrandCancelled,
    ErrandCancelRequested,
    ErrandEvent,
    ErrandFailed,
    ErrandFinished,
    ErrandLayer,
    ErrandLost,
    ErrandNoted,
    ErrandRemovalRequested,
    ErrandRemoved,
    ErrandRequested,
    ErrandStarted,
)
from genomed.entities.errand_record import (
    MAX_NOTES,
    MAX_RESTARTS,
    Attend,
    Begin,
    CancelUnstarted,
    ErrandRecord,
    ErrandState,
    GiveUp,
    Rest,
    Step,
    cancel,
    evolve,
    next_step,
    remove,
)
from genomed.entities.errors import Conflict, ErrorBody, ErrorKind

LAYER = ErrandLayer(layer_id="layer-1", path="/layers/layer-1", manifest_sha256="ab")
REQUESTED = ErrandRequested(kind="export", layers=(LAYER,), options={}, reason="r")
FAILED = ErrandFailed(error=ErrorBody(kind=ErrorKind.CAPACITY, message="m", retryable=True))
FINISHED = ErrandFinished(
    attempt=1, facts={"n": 1}, files={"a": "b"}, size_bytes=3, path="/exports/e", manifest_sha256="cd"
)
LOST = ErrandLost(attempt=1, reason="gone")
WISH = ErrandCancelRequested(reason="enough")
ENDINGS: tuple[ErrandEvent, ...] = (FINISHED, FAILED, ErrandCancelled(reason="enough"))

LATER = st.lists(
    st.sampled_from(
        [
            *(ErrandStarted(attempt=number) for number in (1, 2, 3)),
            *ENDINGS,
            LOST,
            WISH,
            REQUESTED,
            ErrandNoted(code="c", message="m"),
            ErrandRemovalRequested(reason="r"),
            ErrandRemoved(files=1, bytes_freed=2),
        ]
    ),
    max_size=12,
)


def after(*events: ErrandEvent) -> ErrandRecord:
    record: ErrandRecord | None = None
    for at_us, event in enumerate((REQUESTED, *events)):
        record = evolve(record, event, at_us=at_us)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("happened", "step"),
    [
        ((), Begin(1)),
        ((WISH,), CancelUnstarted("enough")),
        ((ErrandStarted(attempt=1),), Attend(1)),
        ((ErrandStarted(attempt=1), WISH), Attend(1, cancel=True)),
        ((ErrandStarted(attempt=1), LOST), Begin(2)),
        ((ErrandStarted(attempt=1), LOST, WISH), CancelUnstarted("enough")),
        *(((ErrandStarted(attempt=1), ending), Rest()) for ending in ENDINGS),
    ],
)
def test_what_is_next_follows_from_what_happened(happened: tuple[ErrandEvent, ...], step: Step) -> None:
    assert next_step(after(*happened)) == step


def test_a_lost_errand_is_started_again_so_often_and_no_more() -> None:
    events: list[ErrandEvent] = []
    for number in range(1, MAX_RESTARTS + 2):
        assert next_step(after(*events)) == Begin(number)
        events += [ErrandStarted(attempt=number), LOST]
    assert isinstance(next_step(after(*events)), GiveUp)


@pytest.mark.parametrize("ending", [FINISHED, FAILED])
def test_what_is_over_cannot_be_cancelled(ending: ErrandEvent) -> None:
    with pytest.raises(Conflict, match="nothing to cancel"):
        cancel(after(ErrandStarted(attempt=1), ending), reason="r")


def test_a_wish_to_cancel_is_written_once() -> None:
    assert cancel(after(), reason="enough") == [WISH]
    assert cancel(after(WISH), reason="again") == []
    assert cancel(after(WISH, ErrandCancelled(reason="enough")), reason="again") == []


def test_only_what_was_published_can_be_removed_and_once() -> None:
    for events in ((), (FAILED,), (ErrandFinished(attempt=1, facts={}, files={}, size_bytes=0),)):
        with pytest.raises(Conflict, match="published nothing"):
            remove(after(*events), reason="r")
    done = after(ErrandStarted(attempt=1), FINISHED)
    assert done.export == ("/exports/e", "cd")
    wish = remove(done, reason="r")
    gone = after(ErrandStarted(attempt=1), FINISHED, *wish)
    assert (gone.export, remove(gone, reason="r")) == (None, [])


def test_anything_before_the_wish_is_no_errand() -> None:
    with pytest.raises(ValueError, match="opens with"):
        evolve(None, LOST, at_us=0)


@given(LATER)
def test_an_ending_is_final_whatever_comes_after(later: list[ErrandEvent]) -> None:
    ended = after(ErrandStarted(attempt=1), FINISHED)
    record = after(ErrandStarted(attempt=1), FINISHED, *later)
    assert (record.state, record.finished, record.ended_us) == (ErrandState.FINISHED, FINISHED, ended.ended_us)
    assert next_step(record) == Rest()


@given(LATER)
def test_every_history_leaves_one_step_and_no_more_notes_than_are_kept(later: list[ErrandEvent]) -> None:
    record = after(*later)
    assert isinstance(next_step(record), Step)
    assert len(record.notes) <= MAX_NOTES
    assert isinstance(next_step(record), Rest) == record.ended
    assert record.requested == REQUESTED
