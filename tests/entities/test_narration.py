"""Every event has a sentence of its own, and a sentence leaves out what nobody measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import ERROR, VERDICT
from tests.golden.samples import sample

from genomed.entities.event_codec import EVENT_TYPES
from genomed.entities.events import (
    Event,
    JobFailed,
    JobNoted,
    JobPaused,
    LayerRolledBack,
    StatusReported,
    UnknownEvent,
    UnknownStatusReported,
    VerdictReached,
    WorkerLost,
)
from genomed.entities.facts import Judgement, Progress
from genomed.entities.narration import duration, judgement_line, narrate, progress_line
from genomed.entities.types import EventLevel, JobPhase, JobStatus

NUMBERS = st.none() | st.floats(0, 1e9)


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_every_event_has_a_sentence_of_its_own(event_type: str) -> None:
    sentence = narrate(sample(EVENT_TYPES[event_type]))
    assert sentence.text.strip()
    assert sentence.text != event_type, "it is only named: give it a sentence"
    assert "\n" not in sentence.text
    assert "None" not in sentence.text


def test_an_event_of_a_newer_build_is_named_and_marked() -> None:
    sentence = narrate(UnknownEvent(type="job.dreamt", schema=1, data=b"{}"))
    assert (sentence.level, sentence.text) == (EventLevel.WARNING, "job.dreamt: an event of a newer build")


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (JobFailed(attempt=1, error=ERROR), "error", "failed: the loss diverged"),
        (WorkerLost(attempt=2, reason="signal 9"), "warning", "attempt 2: the worker was lost: signal 9"),
        (
            UnknownStatusReported(attempt=1, provider_status="simmering"),
            "warning",
            "the provider says 'simmering', a word we do not know; the job stays open",
        ),
        (JobNoted(level=EventLevel.ERROR, code="x", message="as it was told"), "error", "as it was told"),
        (
            StatusReported(
                attempt=1, status=JobStatus.RUNNING, phase=JobPhase.TRAINING, provider_status="RUN", message="ok"
            ),
            "info",
            "running, training (RUN): ok",
        ),
        (JobPaused(attempt=1), "info", "paused"),
        (JobPaused(attempt=1, step=0), "info", "paused at step 0"),
        (VerdictReached(attempt=1, verdict=VERDICT), "info", "verdict: adopt; exactMatch rose"),
        (
            LayerRolledBack(layer_id="ly-2", domain="d", base_model="b", restored_layer_id=None, reason="r"),
            "info",
            "rolled back from ly-2 to the base model",
        ),
    ],
)
def test_a_sentence_says_what_happened_and_how_bad_it_is(event: Event, level: str, text: str) -> None:
    sentence = narrate(event)
    assert (sentence.level, sentence.text) == (level, text)


def test_progress_is_one_line_of_what_was_measured() -> None:
    whole = Progress(
        step=12, total_steps=40, epoch=0.3, loss=1.8312, learning_rate=1.9e-4, tokens_per_s=412.3, eta_s=70
    )
    assert progress_line(whole) == "step 12/40 30% loss 1.831 lr 1.9e-04 412 tok/s ETA 1m10s"
    assert progress_line(Progress(step=12)) == "step 12"
    assert progress_line(Progress(step=12, loss=0.0)) == "step 12 loss 0"


@given(st.builds(Progress, step=st.integers(0), total_steps=st.none() | st.integers(0), loss=NUMBERS, eta_s=NUMBERS))
def test_any_progress_has_a_line(progress: Progress) -> None:
    line = progress_line(progress)
    assert line.startswith(f"step {progress.step}")
    assert ("loss" in line) == (progress.loss is not None)
    assert "None" not in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (45.4, "45s"),
        (59.6, "1m00s"),
        (190, "3m10s"),
        (3599, "59m59s"),
        (7500, "2h05m"),
        (360_000, "100h00m"),
    ],
)
def test_a_duration_is_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_judgement_tells_what_was_measured_on_how_many_rows() -> None:
    assert judgement_line(Judgement(rows=9)) == "nothing measured on 9 held-out rows"
    both = Judgement(rows=9, exact_match=0.5, loss=1.25)
    assert judgement_line(both) == "exact match 0.500, loss 1.25 on 9 held-out rows"
    assert judgement_line(Judgement(rows=9, reward_accuracy=0)) == "reward accuracy 0.000 on 9 held-out rows"
