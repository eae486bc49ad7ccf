"""Together on the loopback: files that are looked at, models with limits, jobs that go their way, archives.

A job moves one word on with each GET of it and trains STEPS_PER_LOOK steps while it runs. A model whose name begins
with `endless` trains until it is cancelled. Prices are in nano-dollars, as theirs are; estimates are in dollars.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from msgspec import Struct
from tests.emulators.emulator import API_KEY, Call, Emulator, Refused, Reply, Route, Steps
from tests.emulators.faults import FaultKind
from tests.emulators.lora_archive import full_files, lora_files, tar_gz

MODEL = "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference"
ENDLESS = "endless/Llama-8B"
LORA_ONLY = "Qwen/Qwen3-MoE"
LONGEST_SUFFIX = 40
KEY_LENGTH = 18
LEAST_BATCH = 8

WAY = ("pending", "queued", "running", "running", "compressing", "uploading", "completed")
ENDED = frozenset({"completed", "cancelled", "error", "user_error"})
TOTAL_STEPS = 20
STEPS_PER_LOOK = 10
PRICE_USD = 4.25
NANODOLLARS = 1_000_000_000

TOLD = {
    "pending": [("job_pending", "the job was received")],
    "queued": [("job_start", "the job was scheduled")],
    "running": [("training_data_downloading", "fetching the data"), ("training_start", "training begins")],
    "compressing": [("training_complete", "trained"), ("model_compressing", "packing the result")],
    "uploading": [("model_uploading", "storing the result")],
    "completed": [("model_upload_complete", "stored"), ("job_complete", "the job is done")],
    "cancel_requested": [("cancel_requested", "a stop was asked for")],
    "cancelled": [("job_stopped", "stopped")],
    "user_error": [("job_error", "line 3 of the training file has no answer to learn")],
}
"""Word -> what its beginning is told as."""


class StoredFile(Struct, kw_only=True):
    """looks: how often it must still be looked at until it is processed. bare: from before processing was told."""

    id: str
    filename: str
    size_bytes: int
    sha256: str
    created_at: int
    looks: int = 2
    bad: bool = False
    bare: bool = False


class StoredJob(Struct, kw_only=True):
    id: str
    body: dict[str, object]
    walk: Steps
    created_at: float
    step: int = 0
    events: list[dict[str, object]] = []
    early_stopped: bool = False
    nameless_looks: int = 0

    @property
    def trained(self) -> bool:
        return self.walk.word in {"compressing", "uploading", "completed"}

    @property
    def full(self) -> bool:
        return self.body.get("training_type") == {"type": "Full"}


class TogetherEmulator(Emulator):
    """unpriced: why it estimates nothing. allowed: whether the account may spend the price. bare_files: as of old.

    nameless_looks: how many answers say completed before the result's name is there. archive: what is downloaded
    instead of the job's own.
    """

    provider: ClassVar[str] = "together"
    prefix: ClassVar[str] = "/v1"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.models = (MODEL, ENDLESS, LORA_ONLY)
        self.unpriced: str | None = None
        self.allowed = True
        self.bare_files = False
        self.nameless_looks = 0
        self.early_stopping = False
        self.archive: bytes | None = None
        self._ids = 0

    def routes(self) -> Sequence[Route]:
        job = "/v1/fine-tunes/{job_id}"
        return (
            Route(operation="models", method="GET", path="/v1/fine-tunes/models/supported", handler=self._supported),
            Route(operation="limits", method="GET", path="/v1/fine-tunes/models/limits", handler=self._limits),
            Route(operation="upload", method="POST", path="/v1/files/upload", handler=self._upload),
            Route(operation="list_files", method="GET", path="/v1/files", handler=self._list_files),
            Route(operation="upload_state", method="GET", path="/v1/files/{file_id}", handler=self._file),
            Route(operation="estimate", method="POST", path="/v1/fine-tunes/estimate-price", handler=self._estimate),
            Route(operation="create_job", method="POST", path="/v1/fine-tunes", handler=self._create),
            Route(operation="list_jobs", method="GET", path="/v1/fine-tunes", handler=self._list_jobs),
            Route(operation="download", method="GET", path="/v1/finetune/download", handler=self._download),
            Route(operation="events", method="GET", path=f"{job}/events", handler=self._events),
            Route(operation="metrics", method="GET", path=f"{job}/metrics", handler=self._metrics),
            Route(operation="checkpoints", method="GET", path=f"{job}/checkpoints", handler=self._checkpoints),
            Route(operation="cancel_job", method="POST", path=f"{job}/cancel", handler=self._cancel),
            Route(operation="get_job", method="GET", path=job, handler=self._get),
        )

    # What a test does to it.

    def restart(self, job_id: str) -> None:
        """As when their machine died: back into the queue, and the steps begin again."""
        job = self.jobs[job_id]
        job.step = 0
        job.walk.go("queued", *WAY[2:])
        self._tell(job, "job_restarted", "the machine was lost; the job begins again", level="warning")

    def copy(self, job_id: str, **changed: object) -> StoredJob:
        """Another job that looks like this one: as from a person's second click."""
        original = self.jobs[job_id]
        job = self._new_job({**original.body, **changed})
        job.created_at = original.created_at
        return job

    # Models.

    async def _supported(self, call: Call) -> object:
        return {"models": list(self.models)}

    async def _limits(self, call: Call) -> object:
        name = call.asked("model_name")
        if name not in self.models:
            raise Refused(404, {"message": f"{name} is not available for fine-tuning"})
        batches = {"max_batch_size": 32, "max_batch_size_dpo": 16, "min_batch_size": LEAST_BATCH}
        lora = {**batches, "max_rank": 64, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
        return {
            "model_name": name,
            "lora_training": lora,
            "full_training": dict.fromkeys(batches, 0) if name == LORA_ONLY else batches,
            "supports_full_training": name != LORA_ONLY,
            "max_num_epochs": 10,
            "max_num_evals": 12,
            "max_num_checkpoints": 5,
            "max_learning_rate": 0.01,
            "min_learning_rate": 1e-8,
            "max_seq_length_sft": 16_384,
            "max_seq_length_dpo": 8_192,
            "min_max_seq_length": 1_024,
            "supports_vision": False,
            "supports_tools": True,
            "supports_reasoning": False,
            "merge_output_lora": True,
        }

    # Files.

    async def _upload(self, call: Call) -> object:
        parts = call.parts or {}
        part = parts["file"]
        if (same := self._same_file(part.sha256)) is not None:
            raise Refused(409, {"error": {"message": "the file exists", "type": "conflict"}, "file_id": same})
        file = StoredFile(
            id=self._new_id("file"),
            filename=parts["file_name"].text,
            size_bytes=part.size_bytes,
            sha256=part.sha256,
            created_at=int(self.now_s()),
            bad=self.faults.take("upload", FaultKind.FAIL_VALIDATION) is not None,
            bare=self.bare_files,
        )
        self.files[file.id] = file
        return _file_out(file)

    def _same_file(self, sha256: str) -> str | None:
        return next((file.id for file in self.files.values() if file.sha256 == sha256 and not file.bad), None)

    async def _list_files(self, call: Call) -> object:
        shown = self.listed("list_files", list(self.files.values()), key=lambda file: file.id)
        return {"data": [_file_out(file) for file in shown]}

    async def _file(self, call: Call) -> object:
        file = self.files.get(call.params["file_id"])
        if file is None:
            raise Refused(404, self.error_body(404, "no such file"))
        file.looks = max(0, file.looks - 1)
        return _file_out(file)

    # Jobs.

    async def _estimate(self, call: Call) -> object:
        files = [self.files.get(str(call.fields.get(name))) for name in ("training_file",)]
        reason = self.unpriced or ("train_file_not_validated" if any(f is None or f.looks for f in files) else None)
        if reason is not None:
            return {"estimation_available": False, "unavailable_reason": reason}
        return {
            "estimation_available": True,
            "estimated_total_price": PRICE_USD,
            "allowed_to_proceed": self.allowed,
            "user_limit": 100 if self.allowed else 1,
            "estimated_train_token_count": 12_000,
            "estimated_eval_token_count": 300,
        }

    async def _create(self, call: Call) -> object:
        self._refuse_bad(call.fields)
        job = self._new_job(call.fields)
        if self.faults.take("create_job", FaultKind.FAIL_VALIDATION):
            job.walk.go("pending", "user_error")
        return self._shortly(job)

    def _new_job(self, body: dict[str, object]) -> StoredJob:
        endless = str(body.get("model")).startswith("endless")
        job = StoredJob(
            id=self._new_id("ft"),
            body=body,
            walk=self.steps(WAY, working="running", endless=endless),
            created_at=self.now_s(),
            early_stopped=self.early_stopping,
            nameless_looks=self.nameless_looks,
        )
        self.jobs[job.id] = job
        self.accepted[str(body.get("suffix"))[-KEY_LENGTH:]] += 1
        self._begin(job)
        return job

    def _refuse_bad(self, body: dict[str, object]) -> None:
        """What their schema cannot say."""
        origin, size = str(body.get("from_checkpoint", "")), body.get("batch_size")
        wrong = [
            message
            for message, at_fault in {
                "model and from_checkpoint exclude each other": "model" in body and bool(origin),
                "the model is not available for fine-tuning": not origin and body.get("model") not in self.models,
                "no such checkpoint": bool(origin) and origin.split(":", maxsplit=1)[0] not in self.jobs,
                "the suffix is longer than 40 characters": len(str(body.get("suffix", ""))) > LONGEST_SUFFIX,
                "the batch is too small": isinstance(size, int) and size < LEAST_BATCH,
                "evaluations need a validation file": bool(body.get("n_evals")) and "validation_file" not in body,
                "the training file is not ready": not self._is_ready(body.get("training_file")),
            }.items()
            if at_fault
        ]
        if wrong:
            raise Refused(400, self.error_body(400, "; ".join(wrong)))

    def _is_ready(self, file_id: object) -> bool:
        file = self.files.get(str(file_id))
        return file is not None and not file.looks and not file.bad

    async def _list_jobs(self, call: Call) -> object:
        newest = sorted(self.jobs.values(), key=lambda job: -job.created_at)
        return {"data": [self._shortly(job) for job in self.listed("list_jobs", newest, key=lambda job: job.id)]}

    async def _get(self, call: Call) -> object:
        job = self._job(call)
        before = job.walk.word
        job.walk.step()
        if job.walk.word == "running":
            most = TOTAL_STEPS - 1 if before == "running" and self.held else TOTAL_STEPS
            job.step = min(most, job.step + STEPS_PER_LOOK)
        if job.walk.word != before:
            self._begin(job)
        if job.walk.word == before == "completed":
            job.nameless_looks -= 1
        return self._fully(job)

    async def _cancel(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word in ENDED:
            raise Refused(400, self.error_body(400, f"the job is {job.walk.word} already"))
        if job.walk.word != "cancel_requested":
            job.walk.go("cancel_requested", "cancelled")
            self._begin(job)
        return self._shortly(job)

    async def _events(self, call: Call) -> object:
        events = self._job(call).events
        keys = {id(event): f"{call.params['job_id']}/{n}" for n, event in enumerate(events)}
        return {"data": self.listed("events", events, key=lambda event: keys[id(event)])}

    async def _metrics(self, call: Call) -> object:
        job, since = self._job(call), int(call.asked("global_step_from", "0"))
        rows: list[dict[str, object]] = []
        for step in range(1, job.step + 1):
            at = {"train/global_step": step, "train/epoch": step / TOTAL_STEPS}
            rows.append({**at, "train/loss": 2.0 / step, "train/learning_rate": 1e-5, "train/grad_norm": 0.5})
            if step % STEPS_PER_LOOK == 0 and job.body.get("n_evals"):
                rows.append({**at, "eval/loss": 2.5 / step})
        wanted = [row for row in rows if int(str(row["train/global_step"])) >= since]
        keys = {id(row): f"{job.id}/{row['train/global_step']}/{len(row)}" for row in wanted}
        return {"metrics": self.listed("metrics", wanted, key=lambda row: keys[id(row)])}

    async def _checkpoints(self, call: Call) -> object:
        job = self._job(call)
        steps = dict.fromkeys(range(STEPS_PER_LOOK, job.step + 1, STEPS_PER_LOOK), "Intermediate")
        if job.walk.word == "completed":
            steps[TOTAL_STEPS] = "Final"
        listed = [
            {"step": step, "created_at": _iso(job.created_at + step), "path": f"s3://x/{step}", "checkpoint_type": kind}
            for step, kind in steps.items()
        ]
        return {"data": self.listed("checkpoints", listed, key=lambda entry: f"{job.id}/{entry['step']}")}

    async def _download(self, call: Call) -> object:
        job = self.jobs.get(call.asked("ft_id"))
        if job is None or job.walk.word != "completed":
            raise Refused(404, self.error_body(404, "there is nothing to download"))
        wanted = "model_output_path" if job.full else "adapter"
        if call.asked("checkpoint") != wanted:
            raise Refused(400, self.error_body(400, f"this job has no checkpoint {call.asked('checkpoint')!r}"))
        made = tar_gz(full_files() if job.full else lora_files(str(job.body.get("model", MODEL))))
        return Reply(body=self.archive or made, content_type="application/octet-stream")

    # What it says of its things.

    def _job(self, call: Call) -> StoredJob:
        job = self.jobs.get(call.params["job_id"])
        if job is None:
            raise Refused(404, self.error_body(404, "no such job"))
        return job

    def _begin(self, job: StoredJob) -> None:
        for kind, message in TOLD.get(job.walk.word, []):
            self._tell(job, kind, message, level="error" if kind == "job_error" else "info")
        if job.walk.word == "compressing" and job.early_stopped:
            self._tell(job, "warning", "the validation loss no longer improved")

    def _tell(self, job: StoredJob, kind: str, message: str, *, level: str = "info") -> None:
        job.events.append(
            {
                "object": "fine-tune-event",
                "created_at": _iso(job.created_at + len(job.events) / 1000),
                "level": level,
                "type": kind,
                "message": message,
                "param_count": 0,
                "token_count": 0,
                "step": job.step,
                "total_steps": TOTAL_STEPS if kind == "training_start" else 0,
                "wandb_url": "",
                "checkpoint_path": "",
                "model_path": "",
                "training_offset": 0,
                "hash": "",
            }
        )

    def _both(self, job: StoredJob) -> dict[str, object]:
        named = job.walk.word == "completed" and job.nameless_looks <= 0
        ended = job.walk.word in ENDED
        echoed: dict[str, object] = {
            name: job.body[name]
            for name in ("model", "training_file", "validation_file", "from_checkpoint", "learning_rate", "n_epochs")
            if name in job.body
        }
        return {
            **echoed,
            "id": job.id,
            "status": job.walk.word,
            "created_at": _iso(job.created_at),
            "updated_at": _iso(job.created_at + len(job.events)),
            "training_type": job.body["training_type"],
            "total_price": int(PRICE_USD * NANODOLLARS) if ended else 0,
            "token_count": 12_300 if ended else 0,
            "progress": {"estimate_available": job.walk.word == "running", "seconds_remaining": TOTAL_STEPS - job.step},
            **({"early_stopped": True, "early_stopping_best_step": 10} if job.early_stopped and job.trained else {}),
            **({"model_output_name": f"acme/{job.body.get('model')}-{job.body.get('suffix')}-1"} if named else {}),
        }

    def _shortly(self, job: StoredJob) -> dict[str, object]:
        return {**self._both(job), "suffix": job.body.get("suffix")}

    def _fully(self, job: StoredJob) -> dict[str, object]:
        running = job.walk.word not in {"pending", "queued"}
        asked = job.body.get("batch_size")
        batch = 32 if running and asked == "max" else asked
        waiting = {"queue_depth": 3} if job.walk.word == "queued" else {}
        return {**self._both(job), **waiting, "batch_size": batch, "epochs_completed": job.step // TOTAL_STEPS}

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}-5eed0000-0000-4000-8000-{self._ids:012x}"


def _file_out(file: StoredFile) -> dict[str, object]:
    processed = not file.looks and not file.bad
    told: dict[str, object] = {
        "id": file.id,
        "object": "file",
        "created_at": file.created_at,
        "filename": file.filename,
        "bytes": file.size_bytes,
        "purpose": "fine-tune",
        "FileType": "jsonl",
        "Processed": processed,
    }
    if file.bare:
        return told
    if not file.looks and file.bad:
        report = {"valid": False, "error": "line 2: `messages` is missing", "error_type": "INVALID_FORMAT"}
        return {**told, "processing_status": "INVALID_FORMAT", "validation_report": report}
    word = "COMPLETED" if processed else ("QUEUED", "RUNNING", "PENDING")[file.looks % 3]
    return {**told, "processing_status": word}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
