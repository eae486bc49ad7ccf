"""What the emulated Fireworks keeps, and how it shows each thing: plain data in the published shapes."""

from typing import cast

from msgspec import Struct
from tests.emulators.emulator import Steps

TOTAL_STEPS = 20


class StoredDataset(Struct, kw_only=True):
    """sha256: of its content, empty while that has not come. looks: until it is READY; below 0 it is not validated."""

    id: str
    rows: int
    sha256: str = ""
    looks: int = 0
    bad: bool = False
    promised: dict[str, int] = {}


class StoredJob(Struct, kw_only=True):
    collection: str
    id: str
    body: dict[str, object]
    walk: Steps
    step: int = 0
    status: dict[str, object] | None = None


class StoredDeployment(Struct, kw_only=True):
    id: str
    body: dict[str, object]
    walk: Steps
    status: dict[str, object] | None = None


def training(body: dict[str, object]) -> dict[str, object]:
    """Where a job of its kind says what it trains."""
    inner = body.get("trainingConfig")
    return cast(dict[str, object], inner) if isinstance(inner, dict) else body


def word_of(dataset: StoredDataset) -> str:
    return "READY" if dataset.sha256 and not dataset.looks and not dataset.bad else "UPLOADING"


def dataset_out(dataset: StoredDataset, account: str) -> dict[str, object]:
    told = {"code": "OK", "message": ""}
    if dataset.bad and not dataset.looks:
        told = {"code": "INVALID_ARGUMENT", "message": "line 2: `messages` is missing"}
    return {
        "name": f"accounts/{account}/datasets/{dataset.id}",
        "state": word_of(dataset),
        "exampleCount": str(dataset.rows),
        "userUploaded": {},
        "status": told,
    }


def job_out(job: StoredJob, account: str, *, estimate: dict[str, object], nameless: bool) -> dict[str, object]:
    """Echoes what was asked for, the W&B key included; floats with the 32 bits that it has."""
    word = job.walk.word
    told = {**job.body, "name": f"accounts/{account}/{job.collection}/{job.id}", "state": f"JOB_STATE_{word}"}
    told["status"] = job.status or {"code": "OK", "message": f"the job is {word.lower().replace('_', ' ')}"}
    result = None if nameless else result_name(job, account)
    if "trainingConfig" in job.body:
        told["trainingConfig"] = _named(training(job.body), result)
    else:
        told = _named(told, result)
        told["estimatedCost"] = estimate
    if job.collection != "dpoJobs":
        told["jobProgress"] = {"percent": 100 * job.step // TOTAL_STEPS, "epoch": job.step // TOTAL_STEPS}
    return told


def _named(told: dict[str, object], result: str | None) -> dict[str, object]:
    rest = {name: value for name, value in told.items() if name != "outputModel"}
    return rest if result is None else {**rest, "outputModel": result}


def result_name(job: StoredJob, account: str) -> str:
    return f"accounts/{account}/models/{training(job.body).get('outputModel', job.id)}"


def result_model(job: StoredJob, account: str) -> dict[str, object]:
    asked = training(job.body)
    return {
        "name": result_name(job, account),
        "state": "READY",
        "kind": "HF_PEFT_ADDON",
        "peftDetails": {
            "baseModel": asked.get("baseModel", asked.get("warmStartFrom")),
            "r": asked.get("loraRank", 8),
            "targetModules": ["q_proj"],
        },
    }


def base_models(*names: str) -> dict[str, dict[str, object]]:
    """The last of them cannot be tuned."""
    return {
        name: {
            "name": name,
            "state": "READY",
            "kind": "HF_BASE_MODEL",
            "tunable": name != names[-1],
            "supportsLora": name != names[-1],
            "contextLength": 32_768,
        }
        for name in names
    }


def deployment_out(deployment: StoredDeployment, account: str) -> dict[str, object]:
    told = {"code": "OK", "message": ""} if deployment.status is None else deployment.status
    name = f"accounts/{account}/deployments/{deployment.id}"
    return {**deployment.body, "name": name, "state": deployment.walk.word, "status": told}
