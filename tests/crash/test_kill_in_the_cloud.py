"""kill -9 of the real daemon while it talks to a cloud: it comes back, and the cloud was asked for one job per attempt.

The emulators live in the test's process and keep their books over the kills; a subscriber follows all along.
"""

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from http.client import HTTPException
from threading import Event
from time import monotonic, sleep

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.crash.cloud_worlds import ROWS, World, world
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process, toml
from tests.daemon.daemon_rig import chat, write_rows
from tests.emulators.emulator import Call
from tests.patience import PATIENCE_S

from genomed.client import Client
from genomed.entities.event_codec import type_of
from genomed.entities.ids import submission_key

pytestmark = [pytest.mark.crash, pytest.mark.long]  # a few dozen kills run by default: test_kills.py

AFTER_A_KILL = {"job.submission_unknown", "job.submission_not_found", "job.submission_deferred"}
"""What a daemon that comes back may have to ask; an undisturbed one need not."""

REQUESTS = ("upload", "create_job", "get_job")
EVENTS = ("job.upload_intended", "job.submission_intended", "job.training_finished")
OWN_REQUESTS = {
    "fireworks": ("create_dataset", "get_signed"),
    "mistral": ("estimate", "start_job"),
    "openai": ("events",),
    "together": ("estimate", "download"),
}


class Reaper:
    """Kills the daemon when a request arrives at the cloud, or when an event reaches the subscriber; once each time."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self._at: tuple[str, str] | None = None
        self.struck = Event()

    def wait_for(self, at: tuple[str, str]) -> None:
        self.struck.clear()
        self._at = at

    def told(self, kind: str, name: str) -> None:
        if self._at == (kind, name):
            self._at = None
            process = self._daemon.process
            assert process is not None
            process.kill()
            self.struck.set()

    async def received(self, call: Call) -> None:
        self.told("request", call.operation)


class Life:
    """One daemon at one cloud; each `live` is a job, from its dataset to its layer."""

    def __init__(self, daemon: DaemonProcess, there: World) -> None:
        self.daemon, self.there, self.reaper = daemon, there, Reaper(daemon)
        self.jobs: list[str] = []
        self.seen: list[tuple[int, str]] = []
        self.ready = Event()

    async def follow(self) -> None:
        """A subscriber, as an agent has one."""
        async with Client(str(self.daemon.socket)) as genome:
            async for told in genome.events(after=0):
                name = type_of(told.event)
                self.seen.append((told.position, name))
                self.reaper.told("event", name)

    def live(self, at: tuple[str, str] | None = None) -> Json:
        """at: the moment at which the daemon is killed."""
        wish = self._wish()
        if at is None:
            self.jobs.append(self._create(wish))
        else:
            self.reaper.wait_for(at)
            with suppress(OSError, HTTPException):  # it may die over its answer
                self._create(wish)
            assert self.reaper.struck.wait(PATIENCE_S), f"nobody came to {at}"
            self.daemon.kill()
            self.daemon.start()
            self.jobs.append(self._create(wish))  # once more, as an agent does that is not sure
        return self._outcome(self._ended(self.jobs[-1]))

    def _create(self, wish: Json) -> str:
        return str(self.daemon.call("job-create", wish, key=f"job-{len(self.jobs)}")["jobId"])

    def _wish(self) -> Json:
        mark = f"{len(self.jobs)}-"  # other rows each time: the same ones would not be sent again
        path = self.daemon.folder / "rows.jsonl"
        write_rows(path, [chat(f"{mark}q{n}", f"a{n}") for n in range(ROWS)])
        dataset = self.daemon.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0.25})
        configuration = {
            "model": {"baseModel": self.there.cloud.base_model},
            "datasets": {"trainingFileId": dataset["datasetId"]},
            "method": {"type": "lora"},
        } | self.there.cloud.sections
        return {"personaId": "ada", "provider": self.there.name, "domain": "sums", "configuration": configuration}

    def _ended(self, job_id: str) -> Json:
        """Where nobody can look up what became of a create call, a person does."""
        deadline = monotonic() + PATIENCE_S
        while True:
            job: Json = self.daemon.call("job-status", {"jobId": job_id})["job"]
            if job["finishedUs"]:
                return job
            if job["phase"] == "submission_uncertain":
                theirs = self.there.cloud.found(self.there.emulator, submission_key(job_id, job["attempt"]))
                self.daemon.answer("job-resolve", {"jobId": job_id, "providerJobId": theirs})
            assert monotonic() < deadline, (job, self.daemon.log.read_text()[-3000:])
            sleep(0.01)

    def _outcome(self, job: Json) -> Json:
        """Everything about the job that may not depend on a kill."""
        job_id = job["jobId"]
        series = self.daemon.call("job-metrics", {"jobId": job_id})["series"]
        types = [one["type"] for one in self.daemon.call("job-events", {"jobId": job_id, "limit": 1000})["events"]]
        return {
            "status": job["status"],
            "attempts": job["attempt"],
            "accepted": self.there.emulator.accepted[submission_key(job_id, 1)],
            "metrics": {name: [(point["step"], point["value"]) for point in points] for name, points in series.items()},
            "events": sorted(set(types) - AFTER_A_KILL),
            "once": [types.count(one) for one in ("job.created", "job.training_finished", "job.succeeded")],
            "layer": self.daemon.call("layer-show", {"layerId": job["layerId"]})["layer"]["artifact"]["format"],
        }

    def assert_sound(self) -> None:
        assert self.daemon.call("log-verify")["ok"] is True
        assert self.daemon.call("overview")["totals"]["jobsByStatus"] == {"succeeded": len(self.jobs)}
        accepted = {submission_key(job_id, 1): 1 for job_id in self.jobs}
        assert dict(self.there.emulator.accepted) == accepted
        head, deadline = self.daemon.position(), monotonic() + PATIENCE_S
        while not self.seen or self.seen[-1][0] < head:
            assert monotonic() < deadline, "the subscriber lags"
            sleep(0.01)
        assert [position for position, _ in self.seen] == list(range(1, head + 1))


@contextmanager
def life_at(name: str) -> Iterator[Life]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(world(name)) as there:
        given = there.given | {"courier": {"poll_s": {name: 0.01}}}
        with daemon_process(configuration=toml(given), environment=there.environment) as daemon:
            life = Life(daemon, there)
            there.emulator.on_receipt = life.reaper.received
            with followed(portal, life):
                yield life


@contextmanager
def followed(portal: BlockingPortal, life: Life) -> Iterator[None]:
    following: Future[None] = portal.start_task_soon(life.follow)
    try:
        yield
    finally:
        following.cancel()
        with suppress(CancelledError):
            following.result(PATIENCE_S)


@pytest.mark.parametrize("name", sorted(OWN_REQUESTS))
def test_killed_at_any_request_or_event_the_job_is_paid_once_and_ends_as_if_undisturbed(name: str) -> None:
    moments = [("request", one) for one in (*REQUESTS, *OWN_REQUESTS[name])] + [("event", one) for one in EVENTS]
    with life_at(name) as life:
        undisturbed = life.live()
        assert (undisturbed["status"], undisturbed["accepted"]) == ("succeeded", 1)
        for at in moments:
            assert life.live(at) == undisturbed, f"killed at {at}"
        life.assert_sound()
