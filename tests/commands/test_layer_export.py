"""genome/layer-export: what the worker is told of each kind of layer."""

from pathlib import Path

import pytest
from tests.commands.local_layers import errand_ended, local_layer, waits, working
from tests.commands.test_layer_merge import told

from genomed.entities.errand_record import ErrandState
from genomed.entities.errors import ErrorKind
from genomed.entities.types import RowKind


@pytest.mark.parametrize(
    ("row_kind", "artifact_format", "kind"),
    [
        (RowKind.CHAT, "peft_lora", "causal"),
        (RowKind.TRIPLET, "peft_lora", "encoder"),
        (RowKind.RANKING, "full_model", "reranker"),
        (RowKind.VECTOR_PAIR, "projection", "projection"),
    ],
)
async def test_the_worker_is_told_what_sort_of_model_it_is(
    tmp_path: Path, row_kind: RowKind, artifact_format: str, kind: str
) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, *waits(go), row_kind=row_kind, artifact_format=artifact_format)
        params = {"layerId": layer_id, "prompts": ["2+2="], "tokens": 4, "opset": 18}
        errand_id = (await rig.call("layer-export", params))["errand"]["errandId"]
        options = (await told(rig, errand_id))["options"]
        assert isinstance(options, dict)
        assert options.pop("source")["kind"] == kind
        assert options == {"opset": 18, "tolerance": None, "prompts": ["2+2="], "tokens": 4}
        go.touch()
        assert (await errand_ended(rig, errand_id)).state is ErrandState.FINISHED


async def test_another_format_is_refused(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        error = await rig.refused("layer-export", {"layerId": layer_id, "format": "gguf"})
        assert (error.kind, error.field) == (ErrorKind.INVALID_REQUEST, "format")
