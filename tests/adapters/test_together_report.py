"""Together's words in ours, without a wire: every status word, levels, money, and a cursor that stays small."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.adapters.together.cursor import MOST_EVENTS, Cursor, fresh_events, read, written
from genomed.adapters.together.report import STATUS_OF_WORD, Told, checkpoint_names, snapshot_of
from genomed.adapters.together.submission import match
from genomed.adapters.together.wire import CheckpointEntry, JobEntry, JobEvent, at_us
from genomed.entities.ports import Snapshot
from genomed.entities.types import EventLevel, JobStatus

# Every word of the published document (FinetuneJobStatus) and of the SDK 3.1.1 (lib/types/fine_tuning.py).
WORDS = {
    "pending": JobStatus.QUEUED,
    "queued": JobStatus.QUEUED,
    "running": JobStatus.RUNNING,
    "compressing": JobStatus.RUNNING,
    "uploading": JobStatus.RUNNING,
    "cancel_requested": JobStatus.RUNNING,
    "cancelled": JobStatus.CANCELLED,
    "error": JobStatus.FAILED,
    "user_error": JobStatus.FAILED,
    "completed": JobStatus.SUCCEEDED,
}


def told(
    job: dict[str, object],
    *,
    events: Sequence[dict[str, object]] = (),
    rows: Sequence[dict[str, float | None]] = (),
    cursor: str = "",
) -> Snapshot:
    return snapshot_of(
        Told(
            job=msgspec.convert({"id": "ft-1", **job}, JobEntry),
            events=[msgspec.convert(event, JobEvent) for event in events],
            checkpoints=(),
            rows=rows,
            at_us=1,
            redact=lambda text: text.replace("canary", "[secret]"),
        ),
        read(cursor),
    )


@pytest.mark.parametrize("word", WORDS)
def test_every_status_word_of_theirs_has_a_meaning(word: str) -> None:
    snapshot = told({"status": word, "model_output_name": "acme/x"})
    assert snapshot.status is WORDS[word]
    assert snapshot.provider_status == word
    assert (snapshot.error is not None) == (snapshot.status is JobStatus.FAILED)


def test_openais_words_are_not_theirs() -> None:
    """An earlier adapter copied OpenAI's map, and so never saw a success."""
    assert STATUS_OF_WORD.keys() == WORDS.keys()
    for word in ("succeeded", "failed", "validating_files", "SUCCESS", ""):
        assert told({"status": word}).status is None


def test_a_missing_number_is_null_and_never_a_default() -> None:
    snapshot = told({"status": "completed", "model_output_name": "acme/x"})
    assert snapshot.artifact is not None
    assert snapshot.artifact.train_loss is None
    assert snapshot.artifact.tokens_seen is None
    assert snapshot.progress is None
    assert snapshot.cost_usd is None
    assert told({"status": "running"}, rows=[{"train/global_step": 3, "train/loss": None}]).points == ()


def test_a_job_that_cost_nothing_says_so_only_at_its_end() -> None:
    assert told({"status": "running", "total_price": 0}).cost_usd is None
    assert told({"status": "cancelled", "total_price": 0}).cost_usd == 0.0
    assert told({"status": "running", "total_price": 1_500_000_000}).cost_usd == 1.5


@pytest.mark.parametrize(
    ("kind", "level", "wanted"),
    [
        ("epoch_complete", "info", EventLevel.INFO),
        ("epoch_complete", None, EventLevel.INFO),
        ("EARLY_STOPPED", "Info", EventLevel.INFO),
        ("warning", None, EventLevel.WARNING),
        ("billing_limit", "info", EventLevel.WARNING),
        ("job_restarted", "", EventLevel.WARNING),
        ("something_new", "legacy_iwarning", EventLevel.WARNING),
        ("job_error", "legacy_ierror", EventLevel.ERROR),
        ("JOB_USER_ERROR", "Error", EventLevel.ERROR),
    ],
)
def test_an_events_level_is_read_in_every_spelling(kind: str, level: str | None, wanted: EventLevel) -> None:
    event: dict[str, object] = {"type": kind, "level": level, "message": "m", "created_at": "2026-11-20T10:00:00Z"}
    (notice,) = told({"status": "running"}, events=[event]).notices
    assert (notice.level, notice.code) == (wanted, kind.lower())


def test_a_failure_tells_the_last_error_without_secrets() -> None:
    events: list[dict[str, object]] = [
        {"type": "job_error", "level": "error", "message": "out of canary", "created_at": "2026-11-20T10:00:02Z"},
        {"type": "job_error", "level": "error", "message": "earlier", "created_at": "2026-11-20T10:00:01Z"},
    ]
    error = told({"status": "error"}, events=events).error
    assert error is not None
    assert error.message == "together: out of [secret]"


def test_unknown_metrics_keep_their_names_and_columns_of_time_are_none() -> None:
    row: dict[str, float | None] = {
        "train/global_step": 4,
        "train/epoch": 0.5,
        "timestamp": 9.0,
        "eval/best_step": 4,
        "train/rewards": 0.25,
    }
    assert [(p.name, p.value) for p in told({"status": "running"}, rows=[row]).points] == [("train/rewards", 0.25)]


def test_a_value_that_comes_late_for_a_step_is_still_told() -> None:
    first = told({"status": "running"}, rows=[{"train/global_step": n, "train/loss": 1.0} for n in (1, 2, 3)])
    late: list[dict[str, float | None]] = [{"train/global_step": 3, "train/loss": 1.0}]
    late.append({"train/global_step": 2, "eval/loss": 0.5})
    again = told({"status": "running"}, rows=late, cursor=first.cursor)
    assert [(p.name, p.step) for p in again.points] == [("val_loss", 2)]


def test_the_final_checkpoint_goes_by_the_jobs_own_name() -> None:
    listed = [
        CheckpointEntry(step=20, checkpoint_type="Final Adapter"),
        CheckpointEntry(step=10, checkpoint_type="Intermediate (adapter)"),
    ]
    assert list(checkpoint_names("ft-1", listed)) == ["ft-1:10", "ft-1"]


def event(n: int) -> JobEvent:
    return JobEvent(created_at=f"2026-11-20T10:{n // 60:02d}:{n % 60:02d}Z", type="epoch_complete", message=str(n))


@given(order=st.permutations(range(30)), cut=st.integers(0, 30))
def test_events_are_told_once_in_any_order_and_any_portions(order: list[int], cut: int) -> None:
    events = [event(n) for n in order]
    first = fresh_events(Cursor(), [*events[:cut], *events[:cut]])
    second = fresh_events(read(written(first.cursor)), events)
    heard = [e.message or "" for e in (*first.events, *second.events)]
    assert sorted(heard) == sorted(str(n) for n in range(30))
    assert [e.message for e in first.events] == sorted((str(n) for n in order[:cut]), key=int)
    assert fresh_events(second.cursor, events).events == ()


def test_a_cursor_stays_small_however_many_events_there_are() -> None:
    events = [event(n) for n in range(3000)]
    cursor = Cursor()
    heard = 0
    for end in range(100, 3001, 100):
        fresh = fresh_events(cursor, events[:end])
        heard += len(fresh.events)
        cursor = read(written(fresh.cursor))
    assert heard == 3000
    assert len(cursor.events) == MOST_EVENTS
    assert len(written(cursor)) < 8_000


def test_a_cursor_that_cannot_be_read_starts_over() -> None:
    assert read("{") == read("") == Cursor()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.5+00:00", 1_500_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_their_forms(text: str | None, wanted: int | None) -> None:
    assert at_us(text) == wanted


def test_a_job_is_known_by_its_output_name_where_the_suffix_is_not_told() -> None:
    jobs = [JobEntry(id="ft-9", model_output_name="acme/llama-mine-gnkey-1", created_at="1970-01-01T00:00:01Z")]
    assert match(jobs, key="gnkey", training_file="file-1", about_us=1_000_000).theirs == "ft-9"
    assert match(jobs, key="gnother", training_file="file-1", about_us=1_000_000).theirs is None
