"""A layer goes to the hub once, whatever happens on the way; no text of a person and no path of here goes along."""

import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import pytest
from tests.emulators.faults import FaultKind
from tests.emulators.hub_server import TOKEN, HubServer, hub_server
from tests.emulators.wandb_server import KEY, wandb_server

from .conftest import WORKER, Json

ELSEWHERE = "/srv/someones/models"
SECRET_TEXT = "the patient in room nine"
WEIGHTS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}" + bytes(8000)


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with hub_server() as server:
        yield server
        assert server.wrong == []
        assert server.faults.waiting == []


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A published LoRA whose manifest and folder hold more than anybody else may see."""
    folder = tmp_path / "layers" / "layer-1"
    folder.mkdir(parents=True)
    config = {"base_model_name_or_path": f"{ELSEWHERE}/tiny-base", "r": 8, "peft_type": "LORA"}
    files = {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": WEIGHTS,
        "README.md": f"widget: {SECRET_TEXT}".encode(),
    }
    for name, body in files.items():
        (folder / name).write_bytes(body)
    (folder / "judgement.json").write_text(json.dumps({"candidate": {"samples": [{"prompt": SECRET_TEXT}]}}))
    judged = {"rows": 40, "loss": 1.25, "exactMatch": 0.5, "metrics": {}}
    lineage = {
        "jobId": "job-1", "attempt": 2, "personaId": "persona-of-someone", "domain": "someones-domain", "rows": 360,
        "provider": "local", "datasetId": "dataset-1", "rowKind": "chat", "evalRows": 40, "parentLayerId": None,
        "configuration": {
            "model": {"baseModel": f"{ELSEWHERE}/tiny-base", "precision": "bf16"},
            "method": {"type": "lora", "loraConfig": {"rank": 8}},
            "schedule": {"epochs": 3}, "metadata": {"seed": 7},
            "integrations": {"huggingface": {"apiToken": "env:SOMEONES_TOKEN", "outputRepoName": "a/b"}},
        },
        "verdict": {"baseline": {**judged, "exactMatch": 0.125}, "candidate": judged, "adopt": True},
    }  # fmt: skip
    manifest = {
        "version": 1, "layerId": "layer-1", "format": "peft_lora", "suffix": "house-style", "hostedModel": None,
        "baseModel": {"name": f"{ELSEWHERE}/tiny-base", "fingerprint": "ab12", "revision": None},
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in files.items()},
        "lineage": lineage, "metrics": {"trainLoss": 0.7},
    }  # fmt: skip
    (folder / "genomed-layer.json").write_text(json.dumps(manifest))
    return folder


class Sent:
    """One errand: how it ended, its lines, and everything that it wrote anywhere."""

    def __init__(self, folder: Path, code: int, output: bytes) -> None:
        self.folder, self.code, self.output = folder, code, output
        lines = (folder / "progress.jsonl").read_text().splitlines()
        self.lines: list[Json] = [json.loads(line) for line in lines]

    @property
    def last(self) -> Json:
        return self.lines[-1]

    def of(self, kind: str) -> list[Json]:
        return [line for line in self.lines if line["type"] == kind]

    def everything(self) -> str:
        told = [path.read_text(errors="replace") for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join([*told, self.output.decode(errors="replace")])


async def send(folder: Path, options: Mapping[str, object], **environment: str) -> Sent:
    await anyio.to_thread.run_sync(lambda: folder.mkdir(parents=True))
    names = ("progress.jsonl", "control.json", "worker.json", "heartbeat", "result")
    paths = {name.partition(".")[0]: str(folder / name) for name in names}
    order = {
        "errand": "upload", "errandId": folder.name, "offline": False, "threads": None, "paths": paths,
        "options": {"waitS": 0.01, **options},
    }  # fmt: skip
    await anyio.Path(folder / "errand.json").write_text(json.dumps(order))
    done = await anyio.run_process(
        [sys.executable, str(WORKER), "errand", str(folder / "errand.json")],
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
    )
    return await anyio.to_thread.run_sync(Sent, folder, done.returncode, done.stdout + done.stderr)


def wish(hub: HubServer, layer: Path, **more: object) -> Json:
    return {"target": "huggingface", "layer": str(layer), "repo": "me/house", "endpoint": hub.url, **more}


async def test_a_layer_arrives_with_its_card_and_a_second_time_makes_no_second_commit(
    hub: HubServer, layer: Path, tmp_path: Path
) -> None:
    first = await send(tmp_path / "first", wish(hub, layer, datasetSha256="cd" * 32), HF_TOKEN=TOKEN)
    assert first.code == 0, first.output
    repository = hub.repositories["me/house"]
    assert repository.private
    assert sorted(repository.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert repository.files["adapter_model.safetensors"] == WEIGHTS
    assert json.loads(repository.files["adapter_config.json"])["base_model_name_or_path"] == "tiny-base"
    facts = first.last["facts"]
    assert isinstance(facts, dict)
    assert (facts["repo"], facts["commit"]) == ("me/house", repository.commits[-1])

    second = await send(tmp_path / "second", wish(hub, layer, datasetSha256="cd" * 32), HF_TOKEN=TOKEN)
    assert second.code == 0, second.output
    assert len(repository.commits) == 2  # the empty one it was created with, and ours
    assert hub.asked["lfs_put"] == 1

    card = repository.files["README.md"].decode()
    for said in ('license: "unknown"', 'library_name: "peft"', "| exactMatch | 0.125 | 0.5 |",
                 "| schedule.epochs | 3 |",
                 "| rows trained on | 360 |", "cd" * 32, "`job-1`", "PeftModel.from_pretrained"):  # fmt: skip
        assert said in card, card
    everything = card + repository.files["adapter_config.json"].decode()
    for kept in (SECRET_TEXT, ELSEWHERE, "persona-of-someone", "someones-domain", "SOMEONES_TOKEN"):
        assert kept not in everything
    assert TOKEN not in first.everything()


async def test_what_breaks_on_the_way_is_made_good_without_a_second_commit(
    hub: HubServer, layer: Path, tmp_path: Path
) -> None:
    hub.faults.add("create_repo", FaultKind.STATUS, code=503)
    hub.faults.add("commit", FaultKind.STATUS, code=429, retry_after="0")
    hub.faults.add("commit", FaultKind.LOSE_REPLY)
    sent = await send(tmp_path / "sent", wish(hub, layer), HF_TOKEN=TOKEN)
    assert sent.code == 0, sent.output
    assert hub.asked["commit"] == 2
    assert len(hub.repositories["me/house"].commits) == 2
    assert [line["code"] for line in sent.of("notice")] == ["upload_waits"] * 3


@pytest.mark.parametrize(
    ("token", "told"), [("hf_another_0123456789", "the token is not accepted"), ("", "there is no secret in HF_TOKEN")]
)
async def test_a_token_that_is_not_accepted_ends_it_at_once_and_is_never_told(
    hub: HubServer, layer: Path, tmp_path: Path, token: str, told: str
) -> None:
    sent = await send(tmp_path / "sent", wish(hub, layer), HF_TOKEN=token)
    assert sent.code == 1
    assert (sent.last["type"], sent.last["kind"]) == ("failed", "invalid_request")
    assert told in str(sent.last["message"])
    assert hub.repositories == {}
    assert hub.asked["create_repo"] <= 1
    assert not token or token not in sent.everything()


async def test_a_file_that_is_not_the_published_one_is_not_sent(hub: HubServer, layer: Path, tmp_path: Path) -> None:
    await anyio.Path(layer / "adapter_model.safetensors").write_bytes(WEIGHTS + b"more")
    sent = await send(tmp_path / "sent", wish(hub, layer), HF_TOKEN=TOKEN)
    assert sent.code == 1
    assert sent.last["message"] == "adapter_model.safetensors is not the file that was published"
    assert hub.asked.total() == 0


@pytest.fixture
def offline_runs(tmp_path: Path) -> Path:
    """As a worker leaves them; the run itself was written by the library."""
    folder = tmp_path / "metrics" / "wandb" / "offline-run-20261121_112037-abc"
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes((Path(__file__).parents[1] / "golden/wandb/offline-run.wandb").read_bytes())
    return folder.parent


def names_below(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*/*")]


async def test_an_offline_run_is_uploaded_and_its_folder_left_as_it_was(offline_runs: Path, tmp_path: Path) -> None:
    async with wandb_server() as server:
        wanted = {"target": "wandb", "run": str(offline_runs), "project": "house", "baseUrl": server.url}
        sent = await send(tmp_path / "sent", wanted, WANDB_API_KEY=KEY)
    assert sent.code == 0, sent.everything()
    [rows] = server.rows.values()
    assert [row["loss"] for row in rows] == [1.0, 0.5, 1 / 3]
    assert {run["project"] for run in server.upserted} == {"house"}
    assert names_below(offline_runs) == ["run-abc.wandb"]
    assert KEY not in sent.everything()
