"""A real daemon, a real worker, a real tiny encoder: a dataset of triplets becomes a layer that is in use."""

import json
from pathlib import Path
from time import monotonic, sleep

import pytest
from tests.daemon.daemon_process import daemon_process
from tests.patience import PATIENCE_S
from tests.training.encoder_jobs import build_encoder, triplets


@pytest.mark.long
@pytest.mark.training
def test_a_dataset_of_triplets_becomes_an_adopted_layer(tmp_path: Path) -> None:
    encoder = build_encoder(tmp_path / "encoder", "encoder")
    with daemon_process(configuration="[providers.local]\nthreads = 1\n") as daemon:
        ids = {}
        for name, count in (("train", 144), ("held", 24)):
            rows = [
                {key: value for key, value in row.items() if key != "id"}
                for row in triplets(count, held_out=name == "held")
            ]
            path = daemon.folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            asked = {"personaId": "ada", "path": str(path), "rowKind": "triplet", "evalShare": 0}
            ids[name] = daemon.call("dataset-import", asked)["datasetId"]
        configuration = {
            "model": {"baseModel": str(encoder)},
            "datasets": {"trainingFileId": ids["train"], "validationFileId": ids["held"]},
            "method": {"type": "lora", "loraConfig": {"rank": 8, "alpha": 16}},
            "schedule": {"epochs": 6, "batchSize": 16},
            "optimizer": {"learningRate": 1e-2},
            "metadata": {"negativesPerRow": 3, "matryoshkaDimensions": "32"},
        }
        wish = {"personaId": "ada", "provider": "local", "configuration": configuration, "domain": "retrieval"}
        job_id = daemon.call("job-create", wish)["jobId"]
        deadline = monotonic() + PATIENCE_S
        while (job := daemon.call("job-status", {"jobId": job_id})["job"])["status"] not in ("succeeded", "failed"):
            assert monotonic() < deadline, job
            sleep(0.5)
        assert job["status"] == "succeeded", job
        assert job["verdict"]["adopt"] is True, job["verdict"]
        assert job["verdict"]["metric"] == "ndcg"
        assert "retention@32" in job["verdict"]["candidate"]["metrics"]
        layer = daemon.call("layer-show", {"layerId": job["layerId"]})["layer"]
        assert (Path(layer["path"]) / "adapter_model.safetensors").exists()
