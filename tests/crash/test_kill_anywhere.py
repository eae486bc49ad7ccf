"""kill -9 of the daemon at every point of a job's life: the next goes on, and the outcome is as if nothing happened.

The simulated remote counts what it accepted and forgets keys, so a create that is sent twice is paid twice and seen.
"""

import random
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest
from msgspec.structs import replace
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process
from tests.daemon.daemon_rig import chat, write_rows
from tests.patience import PATIENCE_S

from genomed.adapters.simulated.remote import RemoteJob
from genomed.entities.ids import submission_key

pytestmark = [pytest.mark.crash]

EXAMPLES = 10
STEP_S = 3600
"""Of a training that goes on in hours: none ends before a test says that the time has passed."""

LOOK_UPS = {"job.submission_unknown", "job.submission_not_found"}
"""What a daemon that comes back may have to ask; an undisturbed one need not."""

LIVES: dict[str, Json] = {
    "plain": {"steps": 4},
    "lost reply": {"steps": 3, "lostReply": True, "delayLookupTimes": 1},
    "lost worker": {"steps": 4, "loseWorkerAtStep": 3, "serverErrors": 1, "publishFailTimes": 1},
}


class Life:
    """One bucket of one daemon; each `live` is a job that the trigger starts, from its examples to its layer."""

    def __init__(self, daemon: DaemonProcess, faults: Json) -> None:
        self.daemon, self.captured = daemon, 0
        rule = {"provider": "simulated", "minExamples": EXAMPLES, "cooldownS": 0,
                "template": {"method": {"type": "lora"}, "schedule": {"checkpoints": 2},
                             "metadata": faults | {"forgetsKeys": True}}}  # fmt: skip
        where = {"personaId": "ada", "domain": "sums", "baseModel": "tiny"}
        self.bucket_id = daemon.call("trigger-set", where | {"rule": rule})["bucketId"]
        self.jobs: list[str] = []
        self.killed_at: list[int] = []

    def live(self, *, kill_after: int | None = None, pause_s: float = 0.0) -> Json:
        """The outcome of one more job. kill_after: the events in the log at the kill, counted from its last capture."""
        for _ in range(EXAMPLES - 1):
            self.capture()
        base = self.daemon.position()
        self.capture()
        if kill_after is not None:
            reached = self.wait_for(base + kill_after)
            sleep(pause_s)
            self.daemon.kill()
            self.daemon.start()
            self.killed_at.append(reached - base)
        job = self.daemon.wait_for_end(self.next_job())
        return self.outcome(job)

    def capture(self) -> None:
        n = self.captured = self.captured + 1
        said = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": f"{n}+{n}", "output": f"{2 * n}"}
        self.daemon.call("capture-interaction", said, key=f"capture-{n}")

    def wait_for(self, position: int) -> int:
        """The head of the log once it is there, or once the job has ended with fewer events than the first one had."""
        deadline = monotonic() + PATIENCE_S
        began = False
        while (head := self.daemon.position()) < position:
            [bucket] = self.daemon.call("bucket-status", {"bucketId": self.bucket_id})["buckets"]
            if began and not bucket["isLearning"]:
                break
            began = bucket["isLearning"]
            assert monotonic() < deadline
        return head

    def next_job(self) -> str:
        deadline = monotonic() + PATIENCE_S
        while True:
            [bucket] = self.daemon.call("bucket-status", {"bucketId": self.bucket_id})["buckets"]
            if bucket["lastJobId"] not in (None, *self.jobs):
                self.jobs.append(bucket["lastJobId"])
                return str(bucket["lastJobId"])
            assert monotonic() < deadline, bucket
            sleep(0.01)

    def outcome(self, job: Json) -> Json:
        """Everything about the job that may not depend on a crash."""
        job_id = job["jobId"]
        series = self.daemon.call("job-metrics", {"jobId": job_id})["series"]["loss"]
        events = self.daemon.call("job-events", {"jobId": job_id, "limit": 1000})["events"]
        bucket = [one for one in self.daemon.events() if one["stream"] == f"bucket/{self.bucket_id}"]
        return {
            "status": job["status"],
            "adopted": job["adopted"],
            "verdict": {name: job["verdict"][name] for name in ("adopt", "metric", "lift")},
            "judgements": job["judgements"],
            "checkpoint": job["checkpoint"]["step"],
            "loss": job["artifact"]["trainLoss"],
            "attempts": job["attempt"],
            "accepted": [self.remote(job_id, number).accepted for number in range(1, job["attempt"] + 1)],
            "steps": [point["step"] for point in series],
            "events": sorted({event["type"] for event in events} - LOOK_UPS),
            "once": [
                sum(event["type"] == one for event in events)
                for one in ("job.created", "job.training_finished", "job.verdict_reached", "job.succeeded")
            ],
            "bucket": [one["type"] for one in bucket if one["event"].get("jobId") == job_id],
        }

    def remote(self, job_id: str, attempt: int) -> RemoteJob:
        return msgspec.json.decode(self._books(job_id, attempt).read_bytes(), type=RemoteJob)

    def remote_goes_on(self, job_id: str, *, seconds: int) -> None:
        """While nobody asks it: the remote's job has run for so much longer."""
        job = self.remote(job_id, 1)
        later = replace(job, started_us=job.started_us - seconds * 1_000_000)
        self._books(job_id, 1).write_bytes(msgspec.json.encode(later))

    def _books(self, job_id: str, attempt: int) -> Path:
        return self.daemon.data / "jobs" / "simulated-provider" / f"{submission_key(job_id, attempt)}.json"

    def assert_sound(self) -> None:
        """The log, the bodies and the read models agree, and every example was used once."""
        assert self.daemon.call("log-verify")["ok"] is True
        totals = self.daemon.call("overview")["totals"]
        assert totals["examplesByState"] == {"consumed": self.captured}
        assert totals["jobsByStatus"] == {"succeeded": len(self.jobs)}
        assert totals["layers"] == len(self.jobs)


@pytest.mark.parametrize("life", LIVES)
def test_killed_after_some_event_the_job_ends_as_if_nothing_had_happened(life: str) -> None:
    killed_after_every(10, life)


@pytest.mark.long
@pytest.mark.parametrize("life", LIVES)
def test_killed_after_any_event_the_job_ends_as_if_nothing_had_happened(life: str) -> None:
    killed_after_every(3, life)


def killed_after_every(stride: int, life: str) -> None:
    dice = random.Random(life)
    with daemon_process() as daemon:
        one = Life(daemon, LIVES[life])
        base = daemon.position()
        undisturbed = one.live()
        assert (undisturbed["status"], undisturbed["adopted"]) == ("succeeded", True)
        assert set(undisturbed["accepted"]) == {1}
        assert undisturbed["bucket"] == ["bucket.examples_reserved", "bucket.examples_consumed"]
        events_of_a_life = daemon.position() - base - EXAMPLES
        points = sorted({1, 6, 8, *range(10, events_of_a_life + 1, stride)})
        for point in points:
            assert one.live(kill_after=point, pause_s=dice.uniform(0, 0.02)) == undisturbed, f"killed after {point}"
        deadline = monotonic() + PATIENCE_S
        # Where we were slow, kills came late.
        while not spread(one.killed_at, events_of_a_life, wanted=len(points) // 2):
            assert monotonic() < deadline, one.killed_at
            assert one.live(kill_after=dice.choice(points)) == undisturbed
        one.assert_sound()


def spread(killed_at: list[int], events_of_a_life: int, *, wanted: int) -> bool:
    """Whether more kills than `wanted` were early enough to disturb a life, and at as many points of it."""
    early = [at for at in killed_at if at < events_of_a_life - 3]
    return len(early) > wanted and len(set(killed_at)) > wanted


def test_killed_again_and_again_the_job_still_ends_once() -> None:
    with daemon_process() as daemon:
        one = Life(daemon, {"steps": 12})
        undisturbed = one.live()
        kills = 0
        deadline = monotonic() + PATIENCE_S
        while kills < 2:  # where we were slow, a job ends between two kills: the next is killed again and again
            assert monotonic() < deadline
            for _ in range(EXAMPLES):
                one.capture()
            job_id = one.next_job()
            kills = killed_after_every_other_event(daemon, job_id)
            assert one.outcome(daemon.wait_for_end(job_id)) == undisturbed
        one.assert_sound()


def killed_after_every_other_event(daemon: DaemonProcess, job_id: str) -> int:
    """How often, until the job had ended: a life of two events brings it nearer to its end."""
    kills = 0
    while True:
        enough, deadline = daemon.position() + 2, monotonic() + PATIENCE_S
        while daemon.position() < enough:
            if daemon.call("job-status", {"jobId": job_id})["status"] in ("succeeded", "failed", "cancelled"):
                return kills
            assert monotonic() < deadline
        daemon.kill()
        daemon.start()
        kills += 1


def test_between_the_answer_and_the_dispatch_nothing_is_lost_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    write_rows(rows, [chat(f"q{n}", f"a{n}") for n in range(20)])
    with daemon_process() as daemon:
        dataset = daemon.call("dataset-import", {"personaId": "ada", "path": str(rows)})["datasetId"]
        configuration = {"model": {"baseModel": "tiny"}, "datasets": {"trainingFileId": dataset},
                         "method": {"type": "lora"}, "metadata": {"forgetsKeys": True, "steps": 2}}  # fmt: skip
        wish = {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}
        said = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
        for n in range(5):
            kept = daemon.answer("capture-interaction", said | {"input": f"{n}"}, key=f"c{n}")
            created = daemon.answer("job-create", wish, key=f"j{n}")
            daemon.kill()  # the answer is here; what follows from it may not have begun
            daemon.start()
            assert daemon.answer("job-create", wish, key=f"j{n}")["result"] == created["result"]
            assert daemon.answer("capture-interaction", said | {"input": f"{n}"}, key=f"c{n}")["replayed"] is True
            job = daemon.wait_for_end(created["result"]["jobId"])
            assert job["status"] == "succeeded"
            path = daemon.data / "jobs" / "simulated-provider" / f"{submission_key(job['jobId'], 1)}.json"
            assert msgspec.json.decode(path.read_bytes(), type=RemoteJob).accepted == 1
            assert kept["result"]["bucketId"]
        totals = daemon.call("overview")["totals"]
        assert (totals["jobsByStatus"], totals["interactions"]) == ({"succeeded": 5}, 5)
        assert daemon.call("log-verify")["ok"] is True


def test_a_training_that_ended_while_the_daemon_was_down_is_found_and_finished_once() -> None:
    with daemon_process() as daemon:
        one = Life(daemon, {"steps": 3, "secondsPerStep": STEP_S})
        for _ in range(EXAMPLES):
            one.capture()
        job_id = one.next_job()
        deadline = monotonic() + PATIENCE_S
        while daemon.call("job-status", {"jobId": job_id})["status"] != "running":
            assert monotonic() < deadline
        assert daemon.stop() == 0
        one.remote_goes_on(job_id, seconds=4 * STEP_S)
        daemon.start()
        outcome = one.outcome(daemon.wait_for_end(job_id))
        assert (outcome["status"], outcome["steps"], outcome["once"]) == ("succeeded", [1, 2, 3], [1, 1, 1, 1])
        one.assert_sound()
