"""A local job that asked for it has its layer uploaded once it succeeded, by an errand of the same append."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.adapters.local_bench import json_in
from tests.commands.local_layers import working
from tests.daemon.daemon_rig import Json, Rig
from tests.emulators.hub_server import TOKEN, HubServer, hub_server
from tests.emulators.wandb_server import KEY, WandbServer, wandb_server
from tests.patience import PATIENCE_S
from tests.training.vector_task import BASE_MODEL, make_vector_rows

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.settings import WORKER
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.job import Job

T = TypeVar("T")


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HubServer]:
    """As the operator's environment may name another hub than the public one."""
    async with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        assert server.wrong == []


@pytest.fixture
async def wandb() -> AsyncIterator[WandbServer]:
    async with wandb_server() as server:
        yield server


def secret(root: Path, name: str, value: str) -> str:
    path = root / name
    write_atomically(path, value.encode())
    path.chmod(0o600)
    return f"file:{path}"


def configuration(dataset_id: str, token: str, key: str, url: str) -> Json:
    return {
        "model": {"baseModel": BASE_MODEL},
        "datasets": {"trainingFileId": dataset_id},
        "method": {"type": "full"},
        "schedule": {"epochs": 4, "batchSize": 16, "evaluations": 4},
        "optimizer": {"learningRate": 5e-3},
        "metadata": {"metricsJsonl": True, "projectionTarget": 0.5},
        "integrations": {
            "huggingface": {"apiToken": token, "outputRepoName": "me/bridge"},
            "wandb": {"project": "house", "apiKey": key, "baseUrl": url},
        },
    }


async def ended(rig: Rig, stream: str, kind: type[T], over: Callable[[T], bool]) -> T:
    """Three processes one after the other need their time where many tests run side by side."""
    await rig.parts.errands.until(stream, lambda state: isinstance(state, kind) and over(state), timeout_s=PATIENCE_S)
    state = (await rig.journal.load(stream)).state
    assert isinstance(state, kind)
    return state


async def dataset(rig: Rig, root: Path) -> str:
    path = root / "pairs.jsonl"
    rows = [{"input": row["input"], "target": row["target"]} for row in make_vector_rows(300)]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    imported = await rig.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0.2})
    return str(imported["datasetId"])


async def test_a_projection_is_learned_published_and_uploaded_by_itself(
    tmp_path: Path, hub: HubServer, wandb: WandbServer
) -> None:
    """As confined as this machine can: the worker opens no socket, and each upload is told its own secret alone."""
    token, key = secret(tmp_path, "token", TOKEN), secret(tmp_path, "key", KEY)
    allowed: Json = {"secrets": {"allowed": [token, key]}}
    async with working(tmp_path, more=allowed, worker=str(WORKER), sandbox="auto") as rig:
        asked = configuration(await dataset(rig, tmp_path), token, key, wandb.url)
        created = await rig.call(
            "job-create", {"personaId": "ada", "provider": "local", "domain": "bridges", "configuration": asked}
        )
        job = await ended(rig, f"job/{created['jobId']}", Job, lambda job: job.terminal)
        assert (job.status, job.artifact and job.artifact.format) == ("succeeded", "projection"), job.error
        assert job.judgements["candidate"].metrics["cosine"] > job.judgements["baseline"].metrics["cosine"]

        own = f"errand-{created['jobId'].removeprefix('job-')}-1"
        uploaded = await ended(rig, f"errand/{own}-hub", ErrandRecord, lambda record: record.ended)
        assert uploaded.finished is not None, uploaded.error
        assert uploaded.requested.environment == {"HF_TOKEN": token}
        repository = hub.repositories["me/bridge"]
        assert sorted(repository.files) == ["README.md", "model.safetensors", "projection.json"]
        assert "| cosine |" in repository.files["README.md"].decode()
        [layer] = (await rig.call("layer-list"))["layers"]
        manifest = json_in(f"{layer['path']}/genomed-layer.json")
        assert manifest["baseModel"] == {"name": BASE_MODEL, "fingerprint": None, "revision": None}

        synced = await ended(rig, f"errand/{own}-wandb", ErrandRecord, lambda record: record.ended)
        assert synced.finished is not None, synced.error
        assert synced.requested.environment == {"WANDB_API_KEY": key}
        assert job.progress is not None
        [rows] = wandb.rows.values()
        assert [row["_step"] for row in rows if "train/loss" in row] == list(range(1, job.progress.step + 1))
        assert {run["project"] for run in wandb.upserted} == {"house"}
