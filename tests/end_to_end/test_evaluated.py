"""A real daemon trains layers of each kind and says whether they are better than what they came from."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.end_to_end.test_layer_goes_out import done
from tests.end_to_end.test_training_survives import WORKER, ended, wait_until
from tests.training.conftest import make_chat_rows, make_preference_rows
from tests.training.encoder_jobs import build_encoder, pairs, triplets
from tests.training.vector_task import BASE_MODEL, make_vector_rows

pytestmark = [pytest.mark.long, pytest.mark.training]

Json = dict[str, Any]
LORA: Json = {"type": "lora", "loraConfig": {"rank": 8, "alpha": 16}}
WORDS: Json = {"maxNewTokens": 4}
LOOK: Json = {"maxNewTokens": 4, "resamples": 500}


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process(configuration="[providers.local]\nthreads = 1\n") as running:
        yield running


def dataset(daemon: DaemonProcess, kind: str, rows: list[Json], *, share: float = 0.3) -> str:
    path = daemon.folder / f"{kind}-{len(rows)}.jsonl"
    plain = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in plain))
    asked = {"personaId": "ada", "path": str(path), "rowKind": kind, "evalShare": share}
    return str(daemon.call("dataset-import", asked)["datasetId"])


def layer(daemon: DaemonProcess, dataset_id: str, base_model: str, *, rate: float = 3e-2, **more: Json) -> str:
    configuration = {
        "model": {"baseModel": base_model},
        "datasets": {"trainingFileId": dataset_id},
        "method": LORA,
        "schedule": {"epochs": 2, "batchSize": 8, "evaluations": 0, "checkpoints": 1},
        "optimizer": {"learningRate": rate},
        **more,
    }
    wish = {"personaId": "ada", "provider": "local", "domain": "sums", "configuration": configuration}
    job = wait_until(daemon, str(daemon.call("job-create", wish)["jobId"]), ended)
    assert job["status"] == "succeeded", job
    return str(job["layerId"])


def judged(errand: Json, metric: str, rows: int) -> Json:
    """What every evaluation leaves: the facts in the log are report.json, and every row has its line."""
    facts, folder = dict(errand["facts"]), Path(errand["path"])
    assert folder.name == errand["errandId"]
    assert folder.parent.name == "exports"
    assert {"report.json", "outcomes.jsonl", "report.html", "genomed-export.json"} == {
        path.name for path in folder.iterdir()
    }
    assert json.loads((folder / "report.json").read_bytes()) == facts
    outcomes = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    assert (facts["metric"], facts["rows"], len(outcomes)) == (metric, rows, rows)
    assert facts["wins"] + facts["losses"] + facts["ties"] == rows
    for side in ("candidate", "baseline"):
        assert facts[side]["score"] == pytest.approx(sum(one[side]["score"] for one in outcomes) / rows)
    assert facts["interval"][0] <= facts["difference"] <= facts["interval"][1]
    assert 0 <= facts["p"] <= 1
    page = (folder / "report.html").read_text()
    assert facts["candidate"]["name"] in page
    return facts


def test_two_layers_are_held_against_their_base_and_each_other(daemon: DaemonProcess, base_model: Path) -> None:
    rows = dataset(daemon, "chat", make_chat_rows(48))
    held = daemon.call("dataset-show", {"datasetId": rows})["dataset"]["evalRows"]
    first, second = (layer(daemon, rows, str(base_model), rate=rate, metadata=WORDS) for rate in (3e-2, 1e-5))
    facts = judged(done(daemon, "evaluate", layerId=first, judging=LOOK), "exactMatch", held)
    assert (facts["candidate"]["name"], facts["baseline"]["name"]) == (first, "base model")
    assert facts["candidate"]["metrics"]["loss"] < facts["baseline"]["metrics"]["loss"]

    errand = done(daemon, "compare", layerId=first, otherLayerId=second, judging=LOOK)
    both = judged(errand, "exactMatch", held)
    assert both["baseline"]["name"] == second
    assert both["candidate"]["metrics"]["loss"] == pytest.approx(facts["candidate"]["metrics"]["loss"], rel=1e-4)
    shown = daemon.call("errand-show", {"errandId": errand["errandId"]})["errand"]
    assert shown["facts"] == both

    for token, name, params in (
        (bound(daemon, "eve"), "evaluate", {"layerId": first}),
        (bound(daemon, "eve"), "compare", {"layerId": first, "otherLayerId": second}),
        (bound(daemon, "eve"), "errand-show", {"errandId": errand["errandId"]}),
        (bound(daemon, "ada", role="read"), "evaluate", {"layerId": first}),
    ):
        error = refusal(daemon, name, params, token)
        assert error["kind"] in ("forbidden", "not_found"), error
    assert daemon.call("log-verify")["ok"]


def bound(daemon: DaemonProcess, persona: str, *, role: str = "operate") -> str:
    return str(daemon.call("token-create", {"personaIds": [persona], "role": role})["token"])


def refusal(daemon: DaemonProcess, name: str, params: Json, token: str) -> Json:
    status, body = daemon.request(
        "POST", f"/genome/{name}", msgspec.json.encode(params), {"Authorization": f"Bearer {token}"}
    )
    assert status >= 400, body
    return dict(msgspec.json.decode(body)["error"])


def test_a_layer_of_preferences_is_judged_by_its_rewards(daemon: DaemonProcess, base_model: Path) -> None:
    rows = dataset(daemon, "preference", make_preference_rows(48))
    held = daemon.call("dataset-show", {"datasetId": rows})["dataset"]["evalRows"]
    taught = layer(daemon, rows, str(base_model), rate=1e-2, metadata=WORDS)
    facts = judged(done(daemon, "evaluate", layerId=taught, judging=LOOK), "rewardAccuracy", held)
    assert facts["candidate"]["metrics"]["rewardMargin"] > facts["baseline"]["metrics"]["rewardMargin"] == 0


def test_a_projection_is_judged_by_its_vectors(daemon: DaemonProcess) -> None:
    rows = dataset(daemon, "vector_pair", make_vector_rows(300))
    held = daemon.call("dataset-show", {"datasetId": rows})["dataset"]["evalRows"]
    schedule = {"epochs": 10, "batchSize": 16, "evaluations": 1, "checkpoints": 1}
    taught = layer(daemon, rows, BASE_MODEL, rate=3e-3, method={"type": "full"}, schedule=schedule)
    facts = judged(done(daemon, "evaluate", layerId=taught, judging=LOOK), "cosine", held)
    assert facts["conclusion"] == "better"


def test_encoders_and_rerankers_are_judged_by_what_they_find(daemon: DaemonProcess, tmp_path: Path) -> None:
    for kind, model, rows, metric in (
        ("triplet", "encoder", triplets(96), "ndcg"),
        ("ranking", "cross-encoder", pairs(24), "accuracy"),
    ):
        held = dataset(daemon, kind, rows)
        taught = layer(daemon, held, str(build_encoder(tmp_path / kind, model)), rate=1e-2)
        errand = done(daemon, "evaluate", layerId=taught, judging=LOOK)
        facts = judged(errand, metric, errand["facts"]["rows"])
        assert facts["rowKind"] == kind
        assert facts["candidate"]["metrics"] != facts["baseline"]["metrics"]
