"""Fireworks on the loopback: datasets in three steps, jobs of three kinds, signed addresses, models, deployments.

A job moves one word on with each GET of it and trains STEPS_PER_LOOK steps while it runs. A base model whose name
begins with `endless` trains until it is cancelled. Signed addresses take no credentials, and each is good until
`expire_addresses`. What it shows: fireworks_objects.py; its deployments: fireworks_machines.py.
"""

from collections.abc import Sequence
from typing import cast

import msgspec
from tests.emulators import fireworks_objects as objects
from tests.emulators.emulator import API_KEY, Call, Refused, Reply, Route
from tests.emulators.faults import FaultKind
from tests.emulators.fireworks_machines import ACCOUNT, ENDLESS, FIXED, HOME, SMALL, FireworksMachines
from tests.emulators.fireworks_objects import StoredDataset, StoredJob
from tests.emulators.lora_archive import lora_files

WAY = ("CREATING", "VALIDATING", "PENDING", "RUNNING", "RUNNING", "WRITING_RESULTS", "COMPLETED")
ENDED = frozenset({"COMPLETED", "EARLY_STOPPED", "FAILED", "EXPIRED", "CANCELLED"})
TOTAL_STEPS = 20
STEPS_PER_LOOK = 10
LARGEST_REQUEST_BYTES = 150_000_000

__all__ = ["ACCOUNT", "ENDLESS", "FIXED", "HOME", "SMALL", "FireworksEmulator"]

JOBS = {
    "supervisedFineTuningJobs": "supervisedFineTuningJobId",
    "dpoJobs": "dpoJobId",
    "reinforcementFineTuningJobs": "reinforcementFineTuningJobId",
}
REJECTED = ("batchSize", "gradientAccumulationSteps", "earlyStop", "nodes", "jinjaTemplate", "mtpEnabled")
"""What its newer trainer takes no more."""

LOG = b"INFO step 1\nWARNING the learning rate is high\nINFO 'a private sentence'\nERROR a worker was restarted\n"
ESTIMATE = {"currencyCode": "USD", "units": "4", "nanos": 250_000_000}


class FireworksEmulator(FireworksMachines):
    """estimate: the money it names. files: a result's own, instead of a good layer's; extra_files: beside them."""

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.datasets: dict[str, StoredDataset] = {}
        self.jobs: dict[str, StoredJob] = {}
        self.estimate: dict[str, object] = dict(ESTIMATE)
        self.files: dict[str, bytes] | None = None
        self.extra_files: dict[str, bytes] = {"train_config.json": b"{}"}
        self.logs = LOG
        self.nameless = False
        self.early_stopping = False
        self._addresses: set[str] = set()
        self._signed = 0

    def routes(self) -> Sequence[Route]:
        data, model = f"{HOME}/datasets/{{id:[^/:]+}}", "/v1/accounts/{account}/models/{id:[^/:]+}"
        return (
            Route(operation="create_dataset", method="POST", path=f"{HOME}/datasets", handler=self._create_dataset),
            Route(operation="upload", method="POST", path=f"{data}:upload", handler=self._upload),
            Route(operation="upload_address", method="POST", path=f"{data}:getUploadEndpoint", handler=self._address),
            Route(operation="validate_upload", method="POST", path=f"{data}:validateUpload", handler=self._validate),
            Route(operation="upload_state", method="GET", path=data, handler=self._dataset),
            *(route for collection in JOBS for route in self._job_routes(collection)),
            Route(operation="models", method="GET", path="/v1/accounts/{account}/models", handler=self._list_models),
            Route(operation="download", method="GET", path=f"{model}:getDownloadEndpoint", handler=self._download),
            Route(operation="model", method="GET", path=model, handler=self._model),
            Route(operation="delete_model", method="DELETE", path=model, handler=self._delete_model),
            *self.serving_routes(),
            Route(operation="put_signed", method="PUT", path="/signed/{id}", handler=self._put_signed, open=True),
            Route(
                operation="get_signed", method="GET", path="/signed/{id}/{name}", handler=self._get_signed, open=True
            ),
        )

    def _job_routes(self, collection: str) -> Sequence[Route]:
        one = f"{HOME}/{{collection:{collection}}}/{{id:[^/:]+}}"
        return (
            Route(
                operation="estimate", method="POST", path=f"{HOME}/{collection}:estimateCost", handler=self._estimate
            ),
            Route(
                operation="create_job", method="POST", path=f"{HOME}/{{collection:{collection}}}", handler=self._create
            ),
            Route(operation="cancel_job", method="POST", path=f"{one}:cancel", handler=self._cancel),
            Route(operation="resume_job", method="POST", path=f"{one}:resume", handler=self._resume),
            Route(operation="metrics", method="GET", path=f"{one}:getMetricsFileEndpoint", handler=self._metrics),
            Route(operation="get_job", method="GET", path=one, handler=self._get),
        )

    # What a test does to it.

    def expire_addresses(self) -> None:
        """Every signed address that was given so far leads nowhere from now on."""
        self._addresses.clear()

    def say(self, key: str, *words: str) -> None:
        """The job is at the first word now, with the others ahead."""
        self._job_of(key).walk.go(*words)

    def fail(self, key: str, word: str = "FAILED", *, code: str, message: str) -> None:
        job = self._job_of(key)
        job.walk.go(word)
        job.status = {"code": code, "message": message}

    # Datasets.

    async def _create_dataset(self, call: Call) -> object:
        identity, wish = str(call.fields["datasetId"]), cast(dict[str, object], call.fields["dataset"])
        if identity in self.datasets:
            raise Refused(409, self.error_body(409, f"dataset {identity} already exists"))
        rows = int(str(wish.get("exampleCount", "0")))
        if not rows:
            raise Refused(400, self.error_body(400, "exampleCount must be set"))
        self.datasets[identity] = StoredDataset(id=identity, rows=rows)
        return objects.dataset_out(self.datasets[identity], ACCOUNT)

    async def _upload(self, call: Call) -> object:
        dataset, part = self._dataset_of(call), (call.parts or {})["file"]
        if dataset.sha256:
            raise Refused(400, self.error_body(400, "the dataset is not waiting for content"))
        if part.size_bytes > LARGEST_REQUEST_BYTES:
            raise Refused(413, self.error_body(413, "the file is too large for one request"))
        self._take_content(dataset, part.data, part.sha256)
        dataset.looks = 2
        named = {"id": dataset.id, "object": "file", "bytes": part.size_bytes, "created_at": int(self.now_s())}
        return {**named, "filename": part.filename or "", "purpose": "fine-tune"}

    async def _address(self, call: Call) -> object:
        dataset = self._dataset_of(call)
        sizes = cast(dict[str, str], call.fields["filenameToSize"])
        dataset.promised = {name: int(size) for name, size in sizes.items()}
        return {"filenameToSignedUrls": {name: self._sign(f"{dataset.id}?name={name}") for name in sizes}}

    async def _put_signed(self, call: Call) -> object:
        self._check_address(call)
        dataset, part = self.datasets[call.params["id"]], call.raw
        size = dataset.promised[call.asked("name")]
        if part is None or call.headers.get("x-goog-content-length-range") != f"{size},{size}":
            raise Refused(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if part.size_bytes != size:
            raise Refused(400, b"<Error><Code>EntityTooLarge</Code></Error>")
        self._take_content(dataset, part.data, part.sha256)
        dataset.looks = -1  # it waits to be validated
        return Reply(body=b"", content_type="text/plain")

    async def _validate(self, call: Call) -> object:
        dataset = self._dataset_of(call)
        if not dataset.sha256:
            raise Refused(400, self.error_body(400, "there is no content to validate"))
        dataset.looks = 2 if dataset.looks < 0 else dataset.looks
        return {}

    async def _dataset(self, call: Call) -> object:
        dataset = self._dataset_of(call)
        out = objects.dataset_out(dataset, ACCOUNT)
        if dataset.sha256 and dataset.looks > 0:
            dataset.looks -= 1
        return out

    def _take_content(self, dataset: StoredDataset, data: bytes | None, sha256: str) -> None:
        dataset.sha256 = sha256
        counted = dataset.rows if data is None else len(data.splitlines())
        dataset.bad = bool(self.faults.take("upload", FaultKind.FAIL_VALIDATION)) or counted != dataset.rows

    # Jobs.

    async def _estimate(self, call: Call) -> object:
        self._refuse_bad("supervisedFineTuningJobs", call.fields)
        if "wandbConfig" in call.fields:
            self.violations.append("a secret was sent to ask for a price")
        return {"estimatedCost": self.estimate}

    async def _create(self, call: Call) -> object:
        collection = call.params["collection"]
        key = call.asked(JOBS[collection])
        name = f"{collection}/{key}"
        if name in self.jobs:
            raise Refused(409, self.error_body(409, f"job {key} already exists"))
        self._refuse_bad(collection, call.fields)
        endless = "endless" in str(objects.training(call.fields).get("baseModel"))
        job = StoredJob(
            collection=collection,
            id=key,
            body=call.fields,
            walk=self.steps(WAY, working="RUNNING", endless=endless),
        )
        self.jobs[name] = job
        self.accepted[key] += 1
        if self.faults.take("create_job", FaultKind.FAIL_VALIDATION):
            self.fail(key, code="INVALID_ARGUMENT", message="line 2 has no answer to learn")
        return self._out(job)

    def _refuse_bad(self, collection: str, body: dict[str, object]) -> None:
        """What the published file cannot say."""
        training = objects.training(body)
        dataset = self.datasets.get(str(body.get("dataset")).rsplit("/", 1)[-1])
        rank = training.get("loraRank", 8)
        wrong = [
            message
            for message, at_fault in {
                "exactly one of baseModel and warmStartFrom": ("baseModel" in training)
                == ("warmStartFrom" in training),
                "the base model cannot be tuned": training.get("baseModel", SMALL) not in {SMALL, ENDLESS},
                "there is no such model to start from": training.get("warmStartFrom", SMALL) not in self.models,
                "the dataset is not READY": dataset is None or objects.word_of(dataset) != "READY",
                "this trainer takes no such key": any(name in training for name in REJECTED),
                "loraRank must be a power of two up to 32": not isinstance(rank, int) or rank not in {4, 8, 16, 32},
                "the dataset is named in full": not str(body.get("dataset")).startswith("accounts/"),
                "lossConfig.method is GRPO by default": collection == "dpoJobs" and "lossConfig" not in body,
            }.items()
            if at_fault
        ]
        if wrong:
            raise Refused(400, self.error_body(400, "; ".join(wrong)))

    async def _get(self, call: Call) -> object:
        job = self._job(call)
        before = job.walk.word
        job.walk.step()
        if job.walk.word == "COMPLETED" and self.early_stopping:
            job.walk.go("EARLY_STOPPED")
        if job.walk.word == "RUNNING":
            most = TOTAL_STEPS - 1 if before == "RUNNING" and self.held else TOTAL_STEPS
            job.step = min(most, job.step + STEPS_PER_LOOK)
        if job.walk.word in {"COMPLETED", "EARLY_STOPPED"}:
            self.models.setdefault(objects.result_name(job, ACCOUNT), objects.result_model(job, ACCOUNT))
        return self._out(job)

    async def _cancel(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word in ENDED:
            raise Refused(400, self.error_body(400, f"the job is {job.walk.word} already"))
        if job.walk.word != "CANCELLING":
            job.walk.go("CANCELLING", "CANCELLED")
        return {}

    async def _resume(self, call: Call) -> object:
        job = self._job(call)
        if job.walk.word != "PAUSED":
            raise Refused(400, self.error_body(400, f"the job is {job.walk.word}, not paused"))
        job.walk.go("RE_QUEUEING", *WAY[3:])
        return self._out(job)

    async def _metrics(self, call: Call) -> object:
        job = self._job(call)
        if not job.step:
            raise Refused(404, self.error_body(404, "there is no metrics file yet"))
        return {"signedUrl": self._sign(f"{job.id}/metrics.jsonl?")}

    def _out(self, job: StoredJob) -> dict[str, object]:
        supervised = job.collection == "supervisedFineTuningJobs"
        told = objects.job_out(job, ACCOUNT, estimate=self.estimate, nameless=self.nameless)
        if job.step:
            told["trainerLogsSignedUrl"] = self._sign(f"{job.id}/trainer.log?")
            if supervised:
                told["metricsFileSignedUrl"] = self._sign(f"{job.id}/metrics.jsonl?")
        return told

    # Signed addresses.

    def _sign(self, where: str) -> str:
        """where: id with a name or a question mark."""
        self._signed += 1
        token = f"sig-{self._signed:08x}"
        self._addresses.add(token)
        joint = "" if where.endswith("?") else "&"
        return f"{self.origin}/signed/{where}{joint}X-Goog-Signature={token}"

    def _check_address(self, call: Call) -> None:
        if "authorization" in call.headers:
            self.violations.append(f"{call.path}: the key was sent to a signed address")
        if call.asked("X-Goog-Signature") not in self._addresses:
            raise Refused(403, b"<Error><Code>ExpiredToken</Code></Error>")

    async def _get_signed(self, call: Call) -> object:
        self._check_address(call)
        body = self._file(call.params["id"], call.params["name"])
        wanted = call.headers.get("range", "").removeprefix("bytes=")
        if not wanted:
            return Reply(body=body, content_type="application/octet-stream")
        first, last = (int(number) for number in wanted.split("-"))
        if first >= len(body):
            return Reply(status=416, body=b"", content_type="text/plain")
        return Reply(status=206, body=body[first : last + 1], content_type="application/octet-stream")

    def _file(self, identity: str, name: str) -> bytes:
        job = self._job_of(identity)
        match name:
            case "metrics.jsonl":
                return b"".join(
                    msgspec.json.encode({"step": n, "epoch": n / TOTAL_STEPS, "train/loss": 2.0 / n, "lr": 1e-5})
                    + b"\n"
                    for n in range(1, job.step + 1)
                )
            case "trainer.log":
                return self.logs
            case _:
                return self._result_files(job)[name]

    def _result_files(self, job: StoredJob) -> dict[str, bytes]:
        base = str(objects.training(job.body).get("baseModel", SMALL))
        return {**(lora_files(base) if self.files is None else self.files), **self.extra_files}

    # Models.

    async def _list_models(self, call: Call) -> object:
        account = f"accounts/{call.params['account']}/"
        found = [(name, model) for name, model in self.models.items() if name.startswith(account)]
        shown = self.listed("models", found, key=lambda entry: entry[0])
        return self.page(call, "models", [model for _, model in shown])

    async def _model(self, call: Call) -> object:
        found = self.models.get(f"accounts/{call.params['account']}/models/{call.params['id']}")
        if found is None:
            raise Refused(404, self.error_body(404, "no such model"))
        return found

    async def _delete_model(self, call: Call) -> object:
        name = f"accounts/{call.params['account']}/models/{call.params['id']}"
        if name not in self.models:
            raise Refused(404, self.error_body(404, "no such model"))
        if any(layer["model"] == name for layer in self.layers.values()):
            raise Refused(400, self.error_body(400, "the model is deployed"))
        del self.models[name]
        return {}

    async def _download(self, call: Call) -> object:
        job = next((job for job in self.jobs.values() if job.id == call.params["id"]), None)
        if job is None or objects.result_name(job, ACCOUNT) not in self.models:
            raise Refused(404, self.error_body(404, "there is nothing to download"))
        names = self._result_files(job)
        return {"filenameToSignedUrls": {name: self._sign(f"{job.id}/{name}?") for name in names}}

    # What it finds.

    def _dataset_of(self, call: Call) -> StoredDataset:
        found = self.datasets.get(call.params["id"])
        if found is None:
            raise Refused(404, self.error_body(404, "no such dataset"))
        return found

    def _job(self, call: Call) -> StoredJob:
        found = self.jobs.get(f"{call.params['collection']}/{call.params['id']}")
        if found is None:
            raise Refused(404, self.error_body(404, "no such job"))
        return found

    def _job_of(self, identity: str) -> StoredJob:
        return next(job for job in self.jobs.values() if job.id == identity)
