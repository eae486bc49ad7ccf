"""genome/layer-merge: what the worker is told, and which layers are refused."""

from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import safetensors
from tests.commands.local_layers import errand_ended, local_layer, order_of, waits, working
from tests.daemon.daemon_rig import ADMIN, Rig
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role, RowKind

FULL = {"config.json": b"{}", "model.safetensors": safetensors({"w": (2, 2)})}


async def told(rig: Rig, errand_id: str) -> dict[str, object]:
    """Once its process runs."""

    async def started() -> bool:
        return rig.parts.errands.progress(errand_id) is not None

    await rig.until(started, "the process")
    return dict(await order_of(rig, errand_id))


async def test_the_worker_is_told_the_base_model_and_the_layers_in_order(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        first, second = [await local_layer(rig, tmp_path, *waits(go)) for _ in range(2)]
        params = {"layerId": first, "layerIds": [second], "precision": "bf16", "tolerance": 0.01}
        errand = (await rig.call("layer-merge", params))["errand"]
        order = await told(rig, errand["errandId"])
        layers = [str(rig.data_dir / "layers" / one) for one in (first, second)]
        source = {"kind": "causal", "baseModel": str(tmp_path / "model"), "layers": layers}
        assert (order["errand"], order["offline"]) == ("merge", True)
        assert order["options"] == {"source": source, "precision": "bf16", "tolerance": 0.01}
        go.touch()
        assert (await errand_ended(rig, errand["errandId"])).error is None


async def test_who_waits_is_told_the_end_with_path_files_and_facts(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand = (await rig.call("layer-merge", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]
        assert (errand["state"], errand["facts"]) == ("finished", {"largestDifference": 1e-6})
        assert list(errand["files"]) == ["model.onnx"]
        assert errand["path"] == str(rig.data_dir / "exports" / errand["errandId"])
        assert (errand["layers"][0]["layerId"], errand["personaId"]) == (layer_id, "ada")


async def test_the_same_key_asks_for_one_errand(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        params = {"layerId": await local_layer(rig, tmp_path)}
        first, again = [await rig.call("layer-merge", params, key="k") for _ in range(2)]
        assert first["errand"]["errandId"] == again["errand"]["errandId"]


async def test_a_layer_without_files_here_is_refused(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        hosted = await local_layer(rig, tmp_path, artifact_format="hosted", provider="openai")
        simulated = (await rig.ended(await rig.create_job())).layer_id
        for layer_id, says in ((hosted, "kept by openai"), (simulated, "simulated")):
            error = await rig.refused("layer-merge", {"layerId": layer_id})
            assert (error.kind, error.field) == (ErrorKind.UNSUPPORTED, "layerId")
            assert says in error.message
        assert (await rig.refused("layer-merge", {"layerId": "layer-none"})).kind is ErrorKind.NOT_FOUND


async def test_a_projection_and_a_base_model_that_is_no_folder_are_refused(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        projection = await local_layer(rig, tmp_path, artifact_format="projection", row_kind=RowKind.VECTOR_PAIR)
        elsewhere = await local_layer(rig, tmp_path, base="org/model")
        assert (await rig.refused("layer-merge", {"layerId": projection})).kind is ErrorKind.UNSUPPORTED
        error = await rig.refused("layer-merge", {"layerId": elsewhere})
        assert "no folder of this machine" in error.message


async def test_layers_that_do_not_fit_together_are_refused_together(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        plain = await local_layer(rig, tmp_path)
        other = await local_layer(rig, tmp_path, base="/somewhere/else")
        full = await local_layer(rig, tmp_path, files=FULL, artifact_format="full_model")
        error = await rig.refused("layer-merge", {"layerId": plain, "layerIds": [other, full]})
        assert error.kind is ErrorKind.INVALID_REQUEST
        assert len(error.details) == 2


async def test_where_local_is_not_allowed_no_work_is_done(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
    async with working(tmp_path, more={"allowed_providers": ["simulated"]}) as rig:
        assert (await rig.refused("layer-merge", {"layerId": layer_id})).kind is ErrorKind.UNSUPPORTED


@pytest.mark.parametrize(("persona", "kind"), [("ada", None), ("bob", ErrorKind.FORBIDDEN)])
async def test_who_is_bound_to_personas_works_on_their_layers_alone(
    tmp_path: Path, persona: str, kind: ErrorKind | None
) -> None:
    bound = Caller(actor="uid:7", role=Role.OPERATE, personas=frozenset({persona}))
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        reply = await rig.execute("layer-merge", {"layerId": layer_id}, caller=bound)
        assert kind is (None if isinstance(reply.error, msgspec.UnsetType) else reply.error.kind)
        errand = await rig.call("layer-merge", {"layerId": layer_id})
        shown = await rig.execute("errand-show", {"errandId": errand["errand"]["errandId"]}, caller=bound)
        assert kind is (None if isinstance(shown.error, msgspec.UnsetType) else shown.error.kind)
        assert isinstance((await rig.execute("errand-list", {}, caller=ADMIN)).error, msgspec.UnsetType)
