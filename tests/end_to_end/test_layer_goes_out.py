"""A real daemon trains a tiny layer, merges and exports it, quantizes the export, takes the layer in again, prunes."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.end_to_end.test_training_survives import WORKER, create, ended, wait_until

pytestmark = [pytest.mark.long, pytest.mark.training]


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "tiny"
    build = [sys.executable, str(WORKER), "build-tiny", "--steps", "0", "--size", "mini", "--out", str(out)]
    subprocess.run(build, check=True, capture_output=True)
    return out


def done(daemon: DaemonProcess, command: str, **params: object) -> dict[str, Any]:
    errand = dict(daemon.call(command, {**params, "waitS": 240})["errand"])
    assert errand["state"] == "finished", errand["error"] or errand["notes"]
    return errand


def test_a_layer_that_was_trained_here_goes_out_and_comes_back(base_model: Path) -> None:
    with daemon_process(configuration="[providers.local]\nthreads = 1\n") as daemon:
        job = wait_until(daemon, create(daemon, base_model), ended)
        assert job["status"] == "succeeded"
        layer_id = job["layerId"]

        merged = done(daemon, "layer-merge", layerId=layer_id)
        assert {"config.json", "genomed-export.json"} <= {path.name for path in Path(merged["path"]).iterdir()}
        exported = done(daemon, "layer-export", layerId=layer_id, prompts=["what is 3?"], tokens=4)
        assert any(name.endswith(".onnx") for name in exported["files"])
        quantized = done(daemon, "layer-quantize", errandId=exported["errandId"], agreement=0.0)
        assert quantized["sizeBytes"] > 0

        folder = daemon.folder / "elsewhere"
        shutil.copytree(daemon.call("layer-show", {"layerId": layer_id})["layer"]["path"], folder)
        wish = {"path": str(folder), "personaId": "bob", "domain": "sums", "baseModel": str(base_model)}
        imported = daemon.call("layer-import", wish)["layer"]["layerId"]
        assert done(daemon, "layer-merge", layerId=imported)["facts"]

        prune = {"personaId": "bob", "olderThanDays": 0, "dryRun": False, "waitS": 60}
        gone = daemon.call("layer-prune", prune)
        assert [one["layerId"] for one in gone["going"]] == [imported]
        assert gone["bytesFreed"] > 0
        assert daemon.call("log-verify")["ok"]
