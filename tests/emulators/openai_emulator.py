"""OpenAI's fine-tuning API on the loopback: here jobs with events and checkpoints; files and models lie beside.

A job moves one word on with each GET of it, and makes one training step per GET while it runs. A model whose name
begins with `endless` runs until it is cancelled or paused. What other servers of this shape do otherwise are knobs.
"""

from collections.abc import Sequence

from tests.emulators.emulator import API_KEY, Call, Refused, Route
from tests.emulators.faults import FaultKind
from tests.emulators.openai_models import OpenAIModels
from tests.emulators.openai_objects import StoredJob, asked_for, label_of

BASE_MODEL = "gpt-4.1-mini-2025-04-14"
ENDLESS_MODEL = "endless-mini"
WALK = ("validating_files", "queued", "running", "running", "running", "succeeded")
BAD_WALK = ("validating_files", "failed")
ENDED = frozenset({"succeeded", "failed", "cancelled"})
TRAINING_STEPS = 3
OLD_HYPERPARAMETERS = frozenset({"n_epochs", "batch_size", "learning_rate_multiplier"})


class OpenAIEmulator(OpenAIModels):
    """ignores_filter: lists show every job. keeps_metadata: false, it forgets it. newest_first: of events.

    measures: tells metrics by events; otherwise by checkpoints alone. tells_data: false, by their sentence alone.
    """

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.jobs: dict[str, StoredJob] = {}
        self.models |= {BASE_MODEL: None, ENDLESS_MODEL: None}
        self.ignores_filter = False
        self.keeps_metadata = True
        self.newest_first = True
        self.measures = True
        self.tells_data = True
        self.late_model = 0
        self.failing: str | None = None

    def routes(self) -> Sequence[Route]:
        at, job = self.prefix, f"{self.prefix}/fine_tuning/jobs/{{job_id}}"
        return (
            *self.file_routes(),
            *self.model_routes(),
            Route(operation="create_job", method="POST", path=f"{at}/fine_tuning/jobs", handler=self._create),
            Route(operation="list_jobs", method="GET", path=f"{at}/fine_tuning/jobs", handler=self._list_jobs),
            Route(operation="events", method="GET", path=f"{job}/events", handler=self._list_events),
            Route(operation="checkpoints", method="GET", path=f"{job}/checkpoints", handler=self._list_checkpoints),
            Route(operation="cancel_job", method="POST", path=f"{job}/cancel", handler=self._cancel),
            Route(operation="pause_job", method="POST", path=f"{job}/pause", handler=self._pause),
            Route(operation="resume_job", method="POST", path=f"{job}/resume", handler=self._resume),
            Route(operation="get_job", method="GET", path=job, handler=self._get),
        )

    def job_of(self, key: str) -> StoredJob:
        """The first job with that label."""
        return next(job for job in self.jobs.values() if label_of(job.body) == key)

    def add_job(self, **body: object) -> StoredJob:
        """Somebody else's."""
        return self._new_job({"model": BASE_MODEL, "training_file": "file-of-others", **body})

    async def _create(self, call: Call) -> object:
        self._refuse_bad(call.fields)
        return self._job_out(self._new_job(call.fields))

    def _refuse_bad(self, body: dict[str, object]) -> None:
        """As its schema cannot say it: models, files, sizes of metadata."""
        if body["model"] not in self.models:
            raise Refused(400, self.error_body(400, "Model is not available for fine-tuning", "model_not_available"))
        for name in ("training_file", "validation_file"):
            if name in body and str(body[name]) not in self.files:
                raise Refused(400, self.error_body(400, f"invalid {name}: {body[name]}", "invalid_training_file"))
        metadata = body.get("metadata") or {}
        assert isinstance(metadata, dict)
        if len(metadata) > 16 or any(len(key) > 64 or len(str(value)) > 512 for key, value in metadata.items()):
            raise Refused(400, self.error_body(400, "metadata is too large"))

    def _new_job(self, body: dict[str, object]) -> StoredJob:
        trained = self.files.get(str(body["training_file"]))
        bad = self.faults.take("create_job", FaultKind.FAIL_VALIDATION) or (trained and trained.walk.word == "error")
        endless = str(body["model"]).startswith("endless")
        metadata = body.get("metadata")
        job = StoredJob(
            id=self._new_id("ftjob"),
            body=body,
            walk=self.steps(BAD_WALK if bad else self.walk(), working="running", endless=endless),
            created_at=int(self.now_s()),
            metadata={str(k): str(v) for k, v in metadata.items()}
            if self.keeps_metadata and isinstance(metadata, dict)
            else None,
            late_model=self.late_model,
        )
        self.jobs[job.id] = job
        self.accepted[label_of(body)] += 1
        self._tell(job, "Created fine-tuning job")
        return job

    def walk(self) -> tuple[str, ...]:
        return WALK

    async def _list_jobs(self, call: Call) -> object:
        wanted = {key[len("metadata[") : -1]: value for key, value in call.query if key.startswith("metadata[")}
        found = [
            job
            for job in reversed(self.jobs.values())
            if self.ignores_filter or wanted.items() <= (job.metadata or {}).items()
        ]
        shown = self.listed("list_jobs", found, key=lambda job: job.id)
        page, more = self._page(call, shown, key=lambda job: job.id, limit=20)
        return {"object": "list", "data": [self._job_out(job) for job in page], "has_more": more}

    async def _get(self, call: Call) -> object:
        job = self._job(call)
        before = job.walk.word
        if job.walk.step() == "running" and self.failing is not None:
            job.walk.go("failed")
            job.error = {"code": "server_error", "message": self.failing, "param": None}
        if job.walk.word == "failed" and job.error is None:
            told = "The job failed due to an invalid training file: line 1"
            job.error = {"code": "invalid_training_file", "message": told, "param": "training_file"}
        if job.walk.word != before:
            self._tell(job, f"Fine-tuning job is {job.walk.word}")
        if job.walk.word == "running":
            self._train(job)
        if job.walk.word == "succeeded" and before == "succeeded":
            job.late_model -= 1
        if job.walk.word == "succeeded":
            self.models[self._model_name(job)] = None
        return self._job_out(job)

    async def _list_events(self, call: Call) -> object:
        return self._listed_of_job(call, "events", self._job(call).events)

    async def _list_checkpoints(self, call: Call) -> object:
        return self._listed_of_job(call, "checkpoints", self._job(call).checkpoints)

    def _listed_of_job(self, call: Call, operation: str, items: list[dict[str, object]]) -> object:
        found = list(reversed(items)) if self.newest_first else items
        shown = self.listed(operation, found, key=lambda item: str(item["id"]))
        page, more = self._page(call, shown, key=lambda item: str(item["id"]), limit=20)
        return {"object": "list", "data": page, "has_more": more}

    async def _cancel(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word in ENDED:
            raise Refused(400, self.error_body(400, f"Job has already {job.walk.word}"))
        job.walk.go("cancelled")
        return self._job_out(job)

    async def _pause(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word != "running":
            raise Refused(400, self.error_body(400, f"Job is {job.walk.word} and cannot be paused"))
        job.walk.go("pausing", "paused")
        return self._job_out(job)

    async def _resume(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word != "paused":
            raise Refused(400, self.error_body(400, f"Job is {job.walk.word} and cannot be resumed"))
        job.walk.go("queued", "running", "running", "succeeded")
        return self._job_out(job)

    # What it says of its things.

    def _job(self, call: Call) -> StoredJob:
        job = self.jobs.get(call.params["job_id"])
        if job is None:
            raise Refused(404, self.error_body(404, "Could not find fine tune", "fine_tune_not_found"))
        return job

    def _tell(self, job: StoredJob, message: str, data: dict[str, object] | None = None) -> None:
        event: dict[str, object] = {
            "object": "fine_tuning.job.event",
            "id": self._new_id("ftevent"),
            "created_at": int(self.now_s()),
            "level": "error" if job.error else "info",
            "message": message,
            "type": "message" if data is None else "metrics",
            "data": data if data is not None and self.tells_data else {},
        }
        job.events.append(event)

    def _train(self, job: StoredJob) -> None:
        job.step += 1
        values: dict[str, object] = {"train_loss": 2 / job.step, "train_mean_token_accuracy": 1 - 0.5 / job.step}
        if job.body.get("validation_file"):
            values["valid_loss"] = 2.5 / job.step
        if self.measures:
            sentence = f"Step {job.step}/{TRAINING_STEPS}: training loss={2 / job.step:.2f}"
            self._tell(job, sentence, {"step": job.step, "total_steps": TRAINING_STEPS, **values})
        if job.step % TRAINING_STEPS == 0:
            self._keep_checkpoint(job, {"step": job.step, **values, "full_valid_loss": 2.4 / job.step})

    def _keep_checkpoint(self, job: StoredJob, metrics: dict[str, object]) -> None:
        job.checkpoints.append(
            {
                "object": "fine_tuning.job.checkpoint",
                "id": self._new_id("ftckpt"),
                "created_at": int(self.now_s()),
                "fine_tuned_model_checkpoint": f"{self._model_name(job)}:ckpt-step-{job.step}",
                "fine_tuning_job_id": job.id,
                "metrics": metrics,
                "step_number": job.step,
            }
        )

    def _model_name(self, job: StoredJob) -> str:
        return f"ft:{job.body['model']}:emulated:{job.body.get('suffix') or ''}:{job.id[-4:]}"

    def _job_out(self, job: StoredJob) -> dict[str, object]:
        ended = job.walk.word in ENDED
        named = job.walk.word == "succeeded" and job.late_model <= 0
        hyperparameters = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8} | asked_for(job.body)
        return {
            "id": job.id,
            "object": "fine_tuning.job",
            "created_at": job.created_at,
            "error": job.error,
            "fine_tuned_model": self._model_name(job) if named else None,
            "finished_at": int(self.now_s()) if ended else None,
            "hyperparameters": {k: v for k, v in hyperparameters.items() if k in OLD_HYPERPARAMETERS},
            "model": job.body["model"],
            "organization_id": "org-emulated",
            "result_files": [],
            "status": job.walk.word,
            "trained_tokens": 1234 if job.walk.word == "succeeded" else None,
            "training_file": job.body["training_file"],
            "validation_file": job.body.get("validation_file"),
            "seed": job.body.get("seed", 42),
            "estimated_finish": int(self.now_s()) + 600 if job.walk.word == "running" else None,
            "integrations": job.body.get("integrations", []),
            "metadata": job.metadata,
            **({"method": job.body["method"]} if "method" in job.body else {}),
        }
