"""Mistral's legacy fine-tuning API on the loopback: files, jobs that wait for their start, models.

A job moves one word on with each GET of it, stays at VALIDATED until it is started, and makes one checkpoint per GET
while it runs. A model whose name begins with `endless` runs until it is cancelled.
"""

from collections.abc import Sequence
from typing import ClassVar, TypeVar
from uuid import UUID

from msgspec import Struct
from tests.emulators.emulator import API_KEY, Call, Emulator, Refused, Route, Steps
from tests.emulators.faults import FaultKind

T = TypeVar("T")

TUNABLE = ("open-mistral-7b", "endless-mistral")
ALIASES = {"open-mistral-7b": ["mistral-tiny"]}
NOT_TUNABLE = "mistral-large-latest"

BEFORE_START = ("QUEUED", "VALIDATING", "VALIDATED")
AFTER_START = ("QUEUED", "STARTED", "RUNNING", "RUNNING", "SUCCESS")
ENDED = frozenset({"SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED"})
STEPS_PER_CHECKPOINT = 10


class StoredFile(Struct, kw_only=True):
    id: str
    filename: str
    size_bytes: int
    sha256: str
    lines: int
    created_at: int
    data: bytes = b""
    bad: bool = False


class StoredJob(Struct, kw_only=True):
    """body: the JobIn that made it. late_model: how many answers say SUCCESS before the model's name is there."""

    id: str
    body: dict[str, object]
    walk: Steps
    created_at: int
    events: list[dict[str, object]] = []
    checkpoints: list[dict[str, object]] = []
    late_model: int = 0

    @property
    def suffix(self) -> str:
        return str(self.body.get("suffix") or "")


class MistralEmulator(Emulator):
    """currency: of its prices. late_model: of jobs made from now on. spends_dry_runs: makes jobs of dry runs too."""

    provider: ClassVar[str] = "mistral"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.tunable: tuple[str, ...] = TUNABLE
        self.currency = "USD"
        self.cost: float | None = 4.2
        self.late_model = 0
        self.spends_dry_runs = False
        self.failing: str | None = None
        self._ids = 0

    def routes(self) -> Sequence[Route]:
        job = "/v1/fine_tuning/jobs/{job_id}"
        return (
            Route(operation="models", method="GET", path="/v1/models", handler=self._models),
            Route(operation="upload", method="POST", path="/v1/files", handler=self._upload),
            Route(operation="list_files", method="GET", path="/v1/files", handler=self._list_files),
            Route(operation="upload_state", method="GET", path="/v1/files/{file_id}", handler=self._file),
            Route(operation="create_job", method="POST", path="/v1/fine_tuning/jobs", handler=self._create),
            Route(operation="list_jobs", method="GET", path="/v1/fine_tuning/jobs", handler=self._list_jobs),
            Route(operation="start_job", method="POST", path=f"{job}/start", handler=self._start),
            Route(operation="cancel_job", method="POST", path=f"{job}/cancel", handler=self._cancel),
            Route(operation="get_job", method="GET", path=job, handler=self._get),
        )

    def operation_of(self, route: Route, call: Call) -> str:
        """A dry run is asked at the address at which jobs are made."""
        dry = route.operation == "create_job" and call.asked("dry_run") == "true"
        return "estimate" if dry else route.operation

    def error_body(self, status: int, message: str) -> object:
        return {"object": "error", "message": message, "type": "emulated_error", "param": None, "code": str(status)}

    # Files.

    async def _upload(self, call: Call) -> object:
        part = (call.parts or {})["file"]
        file = StoredFile(
            id=self._new_id(),
            filename=part.filename or "",
            size_bytes=part.size_bytes,
            sha256=part.sha256,
            lines=(part.data or b"").count(b"\n"),
            created_at=int(self.now_s()),
            data=part.data or b"",
            bad=self.faults.take("upload", FaultKind.FAIL_VALIDATION) is not None,
        )
        self.files[file.id] = file
        return _file_out(file)

    async def _list_files(self, call: Call) -> object:
        found = [file for file in self.files.values() if call.asked("search") in file.filename]
        shown = self.listed("list_files", found, key=lambda file: file.id)
        return {"object": "list", "total": len(shown), "data": [_file_out(file) for file in _page(call, shown)]}

    async def _file(self, call: Call) -> object:
        file = self.files.get(call.params["file_id"])
        if file is None:
            raise Refused(404, self.error_body(404, "no such file"))
        return {**_file_out(file), "deleted": False}

    # Jobs.

    async def _create(self, call: Call) -> object:
        body = call.fields
        self._refuse_bad(body)
        if call.operation == "estimate" and not self.spends_dry_runs:
            return self._dry_run(body)
        words = BEFORE_START if body.get("auto_start") is False else (*BEFORE_START, *AFTER_START)
        trained = [self.files[file_id] for file_id in _training_files(body)]
        if any(file.bad for file in trained):
            words = ("QUEUED", "VALIDATING", "FAILED_VALIDATION")
        endless = str(body["model"]).startswith("endless")
        job = StoredJob(
            id=self._new_id(),
            body=body,
            walk=self.steps(words, working="RUNNING", endless=endless),
            created_at=int(self.now_s()),
            late_model=self.late_model,
        )
        self.jobs[job.id] = job
        self.accepted[job.suffix] += 1
        self._tell(job)
        return self._job_out(job)

    def _refuse_bad(self, body: dict[str, object]) -> None:
        """As its schema cannot say it: models, files."""
        own = [self._job_out(job)["fine_tuned_model"] for job in self.jobs.values()]
        if body["model"] not in (*self.tunable, *own):
            told = {"loc": ["body", "model"], "msg": "model not available for this type of job", "type": "value_error"}
            raise Refused(422, {"object": "error", "message": {"detail": [told]}, "type": "invalid_request_error"})
        if any(file_id not in self.files for file_id in _training_files(body)):
            raise Refused(404, self.error_body(404, "a training file does not exist"))

    def _dry_run(self, body: dict[str, object]) -> object:
        return {
            "object": "job.metadata",
            "deprecated": True,
            "details": "a dry run",
            "cost": self.cost,
            "cost_currency": self.currency,
            "expected_duration_seconds": 220,
            "train_tokens": 131_072,
            "epochs": _hyperparameters(body).get("epochs"),
        }

    async def _list_jobs(self, call: Call) -> object:
        """Their filter is looser than ours needs: a suffix that begins alike is let through too."""
        wanted = call.asked("suffix")[:6]
        newest = sorted(self.jobs.values(), key=lambda job: -job.created_at)
        found = [job for job in newest if job.suffix.startswith(wanted)]
        shown = self.listed("list_jobs", found, key=lambda job: job.id)
        return {"object": "list", "total": len(shown), "data": [self._job_out(job) for job in _page(call, shown)]}

    async def _get(self, call: Call) -> object:
        job = self._job(call)
        before = job.walk.word
        job.walk.step()
        if job.walk.word == "RUNNING" and self.failing is not None:
            job.walk.go("FAILED")
        if job.walk.word != before:
            self._tell(job)
        if job.walk.word == "RUNNING":
            self._checkpoint(job)
        if job.walk.word == "SUCCESS" and before == "SUCCESS":
            job.late_model -= 1
        return self._detailed(job)

    async def _start(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word != "VALIDATED":
            raise Refused(400, self.error_body(400, f"the job is {job.walk.word}, not VALIDATED"))
        job.walk.go(*AFTER_START)
        self._tell(job)
        return self._detailed(job)

    async def _cancel(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word in ENDED:
            raise Refused(400, self.error_body(400, f"the job is {job.walk.word} already"))
        if job.walk.word != "CANCELLATION_REQUESTED":
            job.walk.go("CANCELLATION_REQUESTED", "CANCELLED")
            self._tell(job)
        return self._detailed(job)

    # Models.

    async def _models(self, call: Call) -> object:
        cards = [{"id": name, "capabilities": {"fine_tuning": True}} for name in self.tunable]
        cards.append({"id": NOT_TUNABLE, "capabilities": {"completion_chat": True}})
        shared = {"object": "model", "owned_by": "mistralai", "created": 1_700_000_000, "type": "base"}
        data = [{**shared, **card, "aliases": ALIASES.get(str(card["id"]), [])} for card in cards]
        return {"object": "list", "data": data}

    # What it says of its things.

    def _job(self, call: Call) -> StoredJob:
        job = self.jobs.get(call.params["job_id"])
        if job is None:
            raise Refused(404, self.error_body(404, "no such job"))
        return job

    def _tell(self, job: StoredJob) -> None:
        data: dict[str, object] = {"status": job.walk.word}
        if job.walk.word == "FAILED_VALIDATION":
            data["error"] = "line 1 of the training file is no conversation"
        if job.walk.word == "FAILED":
            data["error"] = self.failing
        job.events.insert(0, {"name": "status-updated", "data": data, "created_at": int(self.now_s())})

    def _checkpoint(self, job: StoredJob) -> None:
        number = len(job.checkpoints) + 1
        metrics: dict[str, object] = {"train_loss": 2.0 / number}
        if job.body.get("validation_files"):
            metrics |= {"valid_loss": 2.5 / number, "valid_mean_token_accuracy": 1 - 0.5 / number}
        step = {"step_number": number * STEPS_PER_CHECKPOINT, "metrics": metrics, "created_at": int(self.now_s())}
        job.checkpoints.insert(0, step)

    def _job_out(self, job: StoredJob) -> dict[str, object]:
        ended = job.walk.word == "SUCCESS"
        named = ended and job.late_model <= 0
        cost = {"cost": self.cost, "cost_currency": self.currency, "expected_duration_seconds": 220}
        return {
            "id": job.id,
            "object": "job",
            "job_type": "completion",
            "auto_start": job.body.get("auto_start", True),
            "model": job.body["model"],
            "status": job.walk.word,
            "created_at": job.created_at,
            "modified_at": int(self.now_s()),
            "training_files": _training_files(job.body),
            "validation_files": job.body.get("validation_files") or [],
            "fine_tuned_model": f"ft:{job.body['model']}:{job.suffix}:20261121:{job.id[:8]}" if named else None,
            "suffix": job.suffix or None,
            "trained_tokens": 131_072 if ended else None,
            "metadata": cost,
            "hyperparameters": _hyperparameters(job.body),
        }

    def _detailed(self, job: StoredJob) -> dict[str, object]:
        return {**self._job_out(job), "events": job.events, "checkpoints": job.checkpoints}

    def _new_id(self) -> str:
        self._ids += 1
        return str(UUID(int=0x5EED0000_0000_4000_8000_000000000000 + self._ids))


def _training_files(body: dict[str, object]) -> list[str]:
    files = body.get("training_files")
    return [str(file["file_id"]) for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _hyperparameters(body: dict[str, object]) -> dict[str, object]:
    given = body["hyperparameters"]
    assert isinstance(given, dict)
    return {"learning_rate": 0.0001, **given}


def _file_out(file: StoredFile) -> dict[str, object]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": "fine-tune",
        "sample_type": "instruct",
        "num_lines": file.lines,
        "source": "upload",
    }


def _page(call: Call, items: Sequence[T]) -> Sequence[T]:
    size = int(call.asked("page_size", "100"))
    start = int(call.asked("page", "0")) * size
    return items[start : start + size]
