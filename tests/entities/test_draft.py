"""A draft is what its events say, and its decisions keep what versions hold out from ever leaking back."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities import draft as drafts
from genomed.entities.cleaning import CleaningRules
from genomed.entities.dataset_port import Segment
from genomed.entities.draft import SPLIT, Draft, evolve
from genomed.entities.draft_events import (
    CleaningChosen,
    DraftArchived,
    DraftEvent,
    DraftFrozen,
    DraftOpened,
    InteractionsAttached,
    ReviewAttached,
    SegmentAdded,
    SegmentRemoved,
    SourceDetached,
    SplitChosen,
)
from genomed.entities.errors import Conflict, InvalidRequest
from genomed.entities.types import ReviewPolicy, RowKind

OPENED = DraftOpened(name="sums", persona_id="ada", row_kind=RowKind.CHAT)


def segment(n: int, kind: RowKind = RowKind.CHAT) -> Segment:
    return Segment(
        sha256=f"{n:064x}",
        rows=10,
        size_bytes=100,
        row_kind=kind,
        format="chat",
        file_name=f"{n}.jsonl",
        file_sha256=f"{n:064x}",
        duplicates=0,
    )


def added(n: int) -> SegmentAdded:
    event = drafts.add_segment(opened(), segment(n))
    assert event is not None
    return event


def opened() -> Draft:
    return evolve(None, OPENED, at_us=1)


def lived(events: Sequence[DraftEvent]) -> Draft:
    draft = opened()
    for n, event in enumerate(events):
        draft = evolve(draft, event, at_us=n + 2)
    return draft


EVENTS: st.SearchStrategy[DraftEvent] = st.one_of(
    st.builds(added, st.integers(0, 3)),
    st.builds(
        InteractionsAttached,
        method=st.sampled_from(["sft", "sessions"]),
        domain=st.sampled_from(["sums", None]),
        through_position=st.integers(1, 9),
    ),
    st.builds(ReviewAttached, batch_id=st.sampled_from(["rev-1", "rev-2"])),
    st.builds(SegmentRemoved, sha256=st.integers(0, 3).map("{:064x}".format), rows=st.just(10), file_name=st.just("a")),
    st.builds(SourceDetached, batch_id=st.sampled_from(["rev-1", "rev-2"])),
    st.builds(SourceDetached, method=st.sampled_from(["sft", "sessions"]), domain=st.sampled_from(["sums", None])),
    st.builds(SplitChosen, eval_share=st.sampled_from([0.0, 0.1, 0.5]), seed=st.integers(0, 3)),
    st.builds(CleaningChosen, rules=st.builds(CleaningRules, expect_json=st.booleans())),
    st.builds(DraftFrozen, dataset_id=st.sampled_from(["ds-1", "ds-2"]), version=st.integers(1, 9)),
    st.builds(DraftArchived, reason=st.just("old")),
)


@given(st.lists(EVENTS, max_size=20))
def test_every_source_is_there_once_as_it_was_attached_last_unless_it_was_taken_out_since(
    events: list[DraftEvent],
) -> None:
    draft = lived(events)
    last_segments: dict[str, SegmentAdded] = {}
    last_batches: dict[str, ReviewAttached] = {}
    last_taken: dict[tuple[str | None, str | None], InteractionsAttached] = {}
    removed, detached = set[str](), set[str]()
    for event in events:
        match event:
            case SegmentAdded():
                last_segments[event.sha256] = event
                removed.discard(event.sha256)
            case SegmentRemoved():
                last_segments.pop(event.sha256, None)
                removed.add(event.sha256)
            case ReviewAttached():
                last_batches[event.batch_id] = event
                detached.discard(event.batch_id)
            case SourceDetached(batch_id=str(batch_id)):
                last_batches.pop(batch_id, None)
                detached.add(batch_id)
            case InteractionsAttached():
                last_taken[event.method, event.domain] = event
            case SourceDetached():
                last_taken.pop((event.method, event.domain), None)
            case _:
                pass
    assert {one.sha256 for one in draft.removed} == removed
    assert set(draft.detached) == detached
    assert {one.sha256: one for one in draft.segments} == last_segments
    assert {one.batch_id: one for one in draft.reviews} == last_batches
    assert {(one.method, one.domain): one for one in draft.interactions} == last_taken
    assert len(draft.interactions) == len(last_taken)
    assert draft.changed_us == len(events) + 1


@given(st.lists(EVENTS, max_size=20))
def test_the_next_version_holds_out_what_any_version_did(events: list[DraftEvent]) -> None:
    draft = lived(events)
    frozen = [one.dataset_id for one in events if isinstance(one, DraftFrozen)]
    assert list(draft.freezing().held_out_with) == list(dict.fromkeys(frozen))


@given(st.lists(EVENTS, max_size=20), st.sampled_from(["ds-1", "ds-2", "ds-3"]))
def test_equal_content_is_one_version_and_a_new_one_counts_on(events: list[DraftEvent], dataset_id: str) -> None:
    draft = lived([one for one in events if not isinstance(one, DraftArchived)])
    event = drafts.freeze(draft, dataset_id)
    known = any(one.dataset_id == dataset_id for one in draft.versions)
    assert (event is None) == known
    assert event is None or event.version == len(draft.versions) + 1


@given(st.lists(EVENTS, max_size=20), st.sampled_from([0.0, 0.1, 0.5]), st.integers(0, 3))
def test_after_a_version_no_other_split_is_chosen(events: list[DraftEvent], share: float, seed: int) -> None:
    draft = lived([one for one in events if not isinstance(one, DraftArchived)])
    same = (share, seed) == (draft.split.eval_share, draft.split.seed)
    if draft.versions and not same:
        with pytest.raises(Conflict, match="another split could train on rows it holds out"):
            drafts.choose_split(draft, eval_share=share, seed=seed)
    else:
        assert (drafts.choose_split(draft, eval_share=share, seed=seed) is None) == same


def test_a_draft_opens_with_its_defaults_and_only_once() -> None:
    draft = opened()
    assert (draft.policy, draft.split, draft.rules) == (ReviewPolicy.MANUAL, SPLIT, CleaningRules())
    again = DraftOpened(name="other", persona_id="bob", row_kind=RowKind.RECORD)
    assert evolve(draft, again, at_us=9).name == "sums"


def test_nothing_comes_before_the_opening() -> None:
    with pytest.raises(ValueError, match=r"draft\.opened"):
        evolve(None, DraftArchived(reason="x"), at_us=1)


def test_the_same_rows_are_added_once() -> None:
    assert drafts.add_segment(lived([added(1)]), segment(1)) is None
    assert drafts.add_segment(lived([added(1)]), segment(2)) is not None


def test_rows_of_another_kind_are_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidRequest) as refused:
        drafts.add_segment(opened(), segment(1, RowKind.TRIPLET))
    assert refused.value.field == "path"
    assert "triplet" in str(refused.value.remedy)


def test_a_batch_is_attached_once() -> None:
    draft = lived([ReviewAttached(batch_id="rev-1")])
    assert drafts.attach_review(draft, "rev-1") is None
    assert drafts.attach_review(draft, "rev-2", recipe="sums") == ReviewAttached(batch_id="rev-2", recipe="sums")


def test_an_archived_draft_takes_nothing_more_and_says_why() -> None:
    draft = lived([DraftArchived(reason="the task is gone")])
    assert drafts.archive(draft, "again") is None
    for attempt in (
        lambda: drafts.add_segment(draft, segment(1)),
        lambda: drafts.attach_interactions(draft, method="sft", domain=None, through_position=1, options={}),
        lambda: drafts.attach_review(draft, "rev-1"),
        lambda: drafts.choose_split(draft, eval_share=0.1, seed=1),
        lambda: drafts.freeze(draft, "ds-1"),
    ):
        with pytest.raises(Conflict, match="the task is gone"):
            attempt()
