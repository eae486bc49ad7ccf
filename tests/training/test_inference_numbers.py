"""Inference workers that give numbers, and those that run an export: the same as the libraries and as PEFT give."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.patience import PATIENCE_S
from tests.training.asking import Asking
from tests.training.conftest import WORKER
from tests.training.plain_peft import NEW_TOKENS, QUESTION

pytestmark = pytest.mark.long

TEXTS = ["one two", "three"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from genomed.training.encoders import tiny_encoder

    out = tmp_path_factory.mktemp("encoder") / "tiny"
    tiny_encoder.build(out, kind="encoder", seed=1, steps=1)
    return out


def test_an_encoder_embeds_as_its_own_library_does(encoder: Path, tmp_path: Path) -> None:
    worker = Asking(tmp_path, encoder, kind="embed")
    _, last = worker.ask(kind="embed", texts=TEXTS)
    _, refused = worker.ask(kind="embed", texts=[])
    worker.end()
    library: Any = import_module("sentence_transformers")
    for mine, theirs in zip(last["vectors"], library.SentenceTransformer(str(encoder)).encode(TEXTS), strict=True):
        assert mine == pytest.approx(theirs.tolist(), abs=1e-6)
    assert refused["error"]["kind"] == "invalid_request"


def test_a_projection_projects_vectors_of_its_width_and_refuses_others(tmp_path: Path) -> None:
    import torch

    from genomed.training.projection import perceptron

    shape = perceptron.Shape(widths=(4, 8, 3), dropout=0.0, target_loss=0.15)
    model = perceptron.build(shape).eval()
    folder = tmp_path / "projection"
    folder.mkdir()
    perceptron.write(folder, shape, perceptron.weights_of(model))
    worker = Asking(tmp_path, folder, kind="project")
    _, last = worker.ask(kind="project", vectors=[[1, 0, 0.5, 2]])
    _, refused = worker.ask(kind="project", vectors=[[1, 0]])
    worker.end()
    with torch.no_grad():
        assert last["vectors"][0] == pytest.approx(model(torch.tensor([[1, 0, 0.5, 2]]))[0].tolist(), abs=1e-6)
    assert refused["error"]["kind"] == "invalid_request"


def test_an_export_answers_through_onnxruntime_as_plain_peft_does_and_loads_no_torch(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("plain_peft.py")
    subprocess.run([sys.executable, str(script), str(tiny_model_dir), str(tmp_path)], check=True, timeout=PATIENCE_S)
    names = {name: str(tmp_path / name) for name in ("progress", "control", "worker", "heartbeat", "result")}
    source = {"kind": "causal", "baseModel": str(tiny_model_dir), "layers": [str(tmp_path / "one")]}
    order = {"errand": "export", "errandId": "e-1", "offline": True, "threads": 1, "paths": names}
    errand = tmp_path / "errand.json"
    errand.write_text(json.dumps({**order, "options": {"source": source}}))
    subprocess.run([sys.executable, str(WORKER), "errand", str(errand)], check=True, timeout=PATIENCE_S)
    worker = Asking(tmp_path, tmp_path / "result", engine="onnx")
    pieces, last = worker.ask(messages=QUESTION, maxNewTokens=NEW_TOKENS)
    _, refused = worker.ask(messages=QUESTION, layer=str(tmp_path / "one"))
    loaded = Path(f"/proc/{worker.process.pid}/maps").read_text()
    worker.end()
    expected = json.loads((tmp_path / "answers.json").read_text())["one"]
    assert (last["text"], "".join(pieces)) == (expected, expected)
    assert refused["error"]["kind"] == "unsupported"
    assert "onnxruntime" in loaded
    assert "torch" not in loaded
