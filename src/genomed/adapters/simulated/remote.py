"""The remote side of the simulated provider: a service that forgets nothing, kept in files, and fails on request.

It plays a company on the other end of a wire: it knows keys, its own status words and its own counts, and outlives
the daemon. It knows nothing of journals or layers, and it trains nothing. Blocking: call it in a thread.
"""

from collections.abc import Callable
from math import exp
from pathlib import Path
from threading import Lock
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.adapters._durable_files import write_atomically
from genomed.entities.types import RowKind

Times = Annotated[int, Meta(ge=0, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Simulation(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to pretend, as a job's metadata gives it. The faults on attempts end after faultyAttempts."""

    steps: Annotated[int, Meta(ge=1, le=100_000, description="optimizer steps in all")] = 4
    seconds_per_step: Annotated[float, Meta(ge=0, le=3600, description="0: every poll advances by one step")] = 0
    baseline_exact_match: Annotated[Share, Meta(description="score of what is to be beaten; made up")] = 0.25
    candidate_exact_match: Annotated[Share, Meta(description="score of the result; made up")] = 0.75
    baseline_loss: Annotated[float, Meta(ge=0, description="made up")] = 2.0
    candidate_loss: Annotated[float, Meta(ge=0, description="made up")] = 1.0
    reject_create: Annotated[bool, Meta(description="the create call is refused for good")] = False
    fail_create_times: Annotated[Times, Meta(description="create calls answered with 429 first")] = 0
    retry_after_s: Annotated[float, Meta(ge=0, le=3600, description="hint that goes with 429 and 5xx")] = 0
    lost_request: Annotated[bool, Meta(description="the first create call never arrives")] = False
    lost_reply: Annotated[bool, Meta(description="the first create call is accepted, its answer lost")] = False
    forgets_keys: Annotated[bool, Meta(description="a second create with one key is a second job, paid again")] = False
    searchable: Annotated[bool, Meta(description="false: jobs cannot be looked up by key")] = True
    delay_lookup_times: Annotated[Times, Meta(description="look-ups answered with 5xx first")] = 0
    server_errors: Annotated[Times, Meta(description="polls answered with 5xx first")] = 0
    unknown_status_at_poll: Annotated[Times, Meta(description="number of the poll with a word nobody knows")] = 0
    fail_at_step: Annotated[Times, Meta(description="training breaks at this step; 0: never")] = 0
    lose_worker_at_step: Annotated[Times, Meta(description="the run vanishes at this step; 0: never")] = 0
    faulty_attempts: Annotated[Times, Meta(description="attempts that the two faults before this apply to")] = 1
    ignore_cancel: Annotated[bool, Meta(description="a cancel comes too late and the run ends well")] = False
    flip_after_end: Annotated[bool, Meta(description="after its end the job is reported as running again")] = False
    publish_fail_times: Annotated[Times, Meta(description="fetches of the result that break first")] = 0


class Order(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a create call carries. settings: the universal fields by wire path, kept and not acted upon."""

    key: str
    job_id: str
    attempt: int
    simulation: Simulation
    row_kind: RowKind = RowKind.CHAT
    eval_rows: int = 0
    checkpoints: int = 0
    settings: dict[str, object] = {}
    resume: bool = False


class RemoteJob(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key's file. create_calls: how often it was sent; accepted: how often a job was made (and would be paid)."""

    order: Order
    create_calls: int = 0
    accepted: int = 0
    busy_answers: int = 0
    lookups: int = 0
    polls: int = 0
    broken_polls: int = 0
    broken_fetches: int = 0
    started_us: int = 0
    first_step: int = 0
    step: int = 0
    want: str = ""
    word: str = "TRAINING"


class Refused(Exception):
    """HTTP 400."""


class ServerTrouble(Exception):
    """HTTP 429 or 5xx."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Busy(ServerTrouble):
    """HTTP 429: certainly not accepted."""


class ConnectionLost(Exception):
    """No answer came; whether the request arrived is unknown to the caller."""


def loss_at(simulation: Simulation, step: int) -> float:
    """A curve from baseline_loss towards candidate_loss: a function of the step, so that replays agree."""
    start, end = simulation.baseline_loss, simulation.candidate_loss
    return round(end + (start - end) * exp(-3 * step / simulation.steps), 6)


class Remote:
    """folder: one file per key. Any number of instances may follow one another on it, as daemons do."""

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        self._folder = folder
        self._now_us = now_us
        self._lock = Lock()

    def create(self, order: Order) -> str:
        """The job's id. Raises Refused, Busy or ConnectionLost."""
        with self._lock:
            job = self._load(order.key) or RemoteJob(order=order)
            job = self._save(replace(job, create_calls=job.create_calls + 1))
            knobs = order.simulation
            if knobs.reject_create:
                raise Refused("400: this job was asked to be refused")
            if job.busy_answers < knobs.fail_create_times:
                self._save(replace(job, busy_answers=job.busy_answers + 1))
                raise Busy("429: too many jobs", knobs.retry_after_s)
            if knobs.lost_request and job.create_calls == 1:
                raise ConnectionLost("the connection broke while sending")
            if not job.accepted or knobs.forgets_keys:
                job = self._accept(job)
                if knobs.lost_reply and job.accepted == 1:
                    raise ConnectionLost("the connection broke before an answer came")
            return f"sim-{order.key}"

    def _accept(self, job: RemoteJob) -> RemoteJob:
        first = self._last_step(job.order.job_id) if job.order.resume else 0
        accepted = replace(job, accepted=job.accepted + 1, started_us=self._now_us(), first_step=first, step=first)
        return self._save(accepted)

    def _last_step(self, job_id: str) -> int:
        """Where the newest earlier attempt of the job stood: there is no finer checkpoint to pretend."""
        files = self._folder.glob("*.json")
        jobs = [msgspec.json.decode(file.read_bytes(), type=RemoteJob) for file in files]
        return max((job.step for job in jobs if job.order.job_id == job_id), default=0)

    def lookup(self, key: str) -> RemoteJob | None:
        """Raises ServerTrouble while the look-up is told to fail."""
        with self._lock:
            job = self._load(key)
            if job is None:
                return None
            job = self._save(replace(job, lookups=job.lookups + 1))
            if job.lookups <= job.order.simulation.delay_lookup_times:
                raise ServerTrouble("503: the list of jobs is not up to date", job.order.simulation.retry_after_s)
            return job

    def status(self, key: str) -> RemoteJob | None:
        """The job as it stands now. Raises ServerTrouble while polls are told to fail."""
        with self._lock:
            job = self._load(key)
            if job is None or not job.accepted:
                return None
            job = replace(job, polls=job.polls + 1)
            knobs = job.order.simulation
            if job.broken_polls < knobs.server_errors:
                self._save(replace(job, broken_polls=job.broken_polls + 1))
                raise ServerTrouble("500: internal error", knobs.retry_after_s)
            job = self._save(self._advanced(job))
            if job.polls == knobs.unknown_status_at_poll:
                return replace(job, word="REBALANCING")
            return job

    def _advanced(self, job: RemoteJob) -> RemoteJob:
        knobs = job.order.simulation
        if job.word != "TRAINING":
            return replace(job, word="TRAINING") if knobs.flip_after_end and job.word == "DONE" else job
        if job.want and not (job.want == "cancel" and knobs.ignore_cancel):
            return replace(job, word={"cancel": "STOPPED", "pause": "HELD"}[job.want])
        step = job.step + 1
        if knobs.seconds_per_step:
            step = job.first_step + int((self._now_us() - job.started_us) / 1e6 / knobs.seconds_per_step)
        return _stepped(job, min(step, knobs.steps))

    def stop(self, key: str, want: str) -> None:
        """A cancel stands; a pause gives way to it."""
        with self._lock:
            job = self._load(key)
            if job is not None and job.want != "cancel":
                self._save(replace(job, want=want))

    def fetch(self, key: str) -> RemoteJob | None:
        """The result's description. Raises ServerTrouble while fetches are told to break."""
        with self._lock:
            job = self._load(key)
            if job is not None and job.broken_fetches < job.order.simulation.publish_fail_times:
                self._save(replace(job, broken_fetches=job.broken_fetches + 1))
                raise ServerTrouble("502: the download broke", job.order.simulation.retry_after_s)
            return job

    def _load(self, key: str) -> RemoteJob | None:
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=RemoteJob)
        except FileNotFoundError:
            return None

    def _save(self, job: RemoteJob) -> RemoteJob:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / f"{job.order.key}.json", msgspec.json.encode(job))
        return job


def _stepped(job: RemoteJob, step: int) -> RemoteJob:
    """Faults come at their step even when the clock jumped over it."""
    knobs = job.order.simulation
    if job.order.attempt <= knobs.faulty_attempts:
        if 0 < knobs.fail_at_step <= step:
            return replace(job, step=knobs.fail_at_step, word="BROKEN")
        if 0 < knobs.lose_worker_at_step <= step:
            return replace(job, step=knobs.lose_worker_at_step, word="VANISHED")
    return replace(job, step=step, word="DONE" if step >= knobs.steps else "TRAINING")
