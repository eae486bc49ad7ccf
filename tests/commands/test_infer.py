"""genome/infer: whom it asks, what it refuses, and that it writes nothing."""

from pathlib import Path

import msgspec
from tests.commands.answering import answering, export_here, layer_here
from tests.daemon.daemon_rig import Json, Rig

from genomed.commands.context import Caller
from genomed.commands.infer import Piece
from genomed.daemon.dispatch import Reply
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.types import Role

BOBS = Caller(actor="token:tok-bob", role=Role.CAPTURE, personas=frozenset({"bob"}))
ADAS = Caller(actor="token:tok-ada", role=Role.CAPTURE, personas=frozenset({"ada"}))


async def test_a_base_model_answers_and_nothing_is_written(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        head = rig.journal.head()
        told = await rig.call("infer", {"baseModel": str(tmp_path / "model"), "prompt": "one base layer"})
        assert told["text"] == f"one {tmp_path / 'model'} None"
        assert (told["layerId"], told["engine"], told["finishReason"]) == (None, "peft", "stop")
        assert (told["completionTokens"], told["workerMemoryBytes"]) == (3, 7)
        assert rig.journal.head() == head


async def test_a_layer_is_asked_over_its_base_model_and_a_whole_model_as_a_base_of_its_own(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        model = tmp_path / "model"
        lora = await layer_here(rig, "layer-1", base_model=model)
        whole = await layer_here(rig, "layer-2", base_model=model, format="full_model")
        first = await rig.call("infer", {"layerId": "layer-1", "prompt": "base layer"})
        second = await rig.call("infer", {"layerId": "layer-2", "prompt": "base layer"})
        assert (first["text"], first["layerId"], first["baseModel"]) == (f"{model} {lora}", "layer-1", str(model))
        assert (second["text"], second["layerId"], second["baseModel"]) == (f"{whole} None", "layer-2", str(model))


async def test_a_persona_is_answered_by_its_active_layer_or_by_the_base_model_where_it_has_none(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        model = tmp_path / "model"
        await layer_here(rig, "layer-1", base_model=model, active=True)
        asked: Json = {"personaId": "ada", "baseModel": str(model), "prompt": "one"}
        assert (await rig.call("infer", asked | {"domain": "sums"}))["layerId"] == "layer-1"
        assert (await rig.call("infer", asked | {"domain": "rhymes"}))["layerId"] is None


async def test_an_agent_asks_its_own_layers_and_no_other(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        model = tmp_path / "model"
        await layer_here(rig, "layer-1", base_model=model)
        folder = await layer_here(rig, "layer-2", base_model=model, persona="bob")
        reply = await rig.execute("infer", {"layerId": "layer-1", "prompt": "personaId bob"}, caller=ADAS)
        assert isinstance(reply.error, msgspec.UnsetType)
        for foreign in (
            {"layerId": "layer-2"},
            {"personaId": "bob", "domain": "sums"},
            {"personaId": "ada", "baseModel": str(folder)},
            {"baseModel": str(model)},
        ):
            error = await rig.refused("infer", foreign | {"prompt": "one"}, caller=ADAS)
            assert error.kind is ErrorKind.FORBIDDEN


async def test_what_cannot_be_asked_is_refused_with_its_field(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        model = tmp_path / "model"
        await layer_here(rig, "layer-1", base_model=model)
        await layer_here(rig, "layer-2", base_model=model, simulated=True)
        asked: Json = {"layerId": "layer-1"}
        for params, kind, field in (
            (asked, ErrorKind.INVALID_REQUEST, "messages"),
            (asked | {"prompt": "one", "texts": ["two"]}, ErrorKind.INVALID_REQUEST, "texts"),
            (asked | {"prompt": "one", "domain": "sums"}, ErrorKind.INVALID_REQUEST, "domain"),
            ({"domain": "sums", "prompt": "one"}, ErrorKind.INVALID_REQUEST, "personaId"),
            (asked | {"prompt": "one", "temperature": -1}, ErrorKind.INVALID_REQUEST, "temperature"),
            ({"layerId": "nobody", "prompt": "one"}, ErrorKind.NOT_FOUND, None),
            ({"layerId": "layer-2", "prompt": "one"}, ErrorKind.UNSUPPORTED, "layerId"),
            (asked | {"prompt": "one", "errandId": "none"}, ErrorKind.NOT_FOUND, None),
            (asked | {"prompt": "wrong"}, ErrorKind.INVALID_REQUEST, None),
            (asked | {"prompt": "die"}, ErrorKind.TRANSIENT, None),
        ):
            error = await rig.refused("infer", params)
            assert (error.kind, error.field) == (kind, field), (params, error)


async def test_a_layer_whose_manifest_was_changed_is_not_loaded(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        folder = await layer_here(rig, "layer-1", base_model=tmp_path / "model")
        (folder / "genomed-layer.json").write_text("{} ")
        error = await rig.refused("infer", {"layerId": "layer-1", "prompt": "one"})
        assert error.kind is ErrorKind.CONFLICT


async def test_an_export_is_asked_as_the_log_has_it_and_not_once_it_was_changed_or_is_to_go(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        await layer_here(rig, "layer-1", base_model=tmp_path / "model")
        errand_id, folder = await export_here(rig, "layer-1", files={"model.onnx": b"graph"})
        asked: Json = {"layerId": "layer-1", "errandId": errand_id, "prompt": "base"}
        told = await rig.call("infer", asked)
        assert (told["text"], told["engine"]) == (str(folder), "onnx")

        await rig.parts.providers.get("local").close()
        (folder / "model.onnx").write_bytes(b"other")
        assert (await rig.refused("infer", asked)).kind is ErrorKind.CONFLICT
        (folder / "model.onnx").write_bytes(b"graph")
        manifest = folder / "genomed-export.json"
        before = manifest.read_bytes()
        manifest.write_bytes(before + b" ")
        assert (await rig.refused("infer", asked)).kind is ErrorKind.CONFLICT
        manifest.write_bytes(before)

        assert (await rig.refused("infer", asked, caller=BOBS)).kind is ErrorKind.FORBIDDEN
        await rig.call("errand-remove", {"errandId": errand_id})
        assert (await rig.refused("infer", asked)).field == "errandId"


async def test_an_export_needs_no_other_name_and_says_whose_base_model_it_has(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        await layer_here(rig, "layer-1", base_model=tmp_path / "model")
        errand_id, folder = await export_here(rig, "layer-1", files={"model.onnx": b"graph"})
        told = await rig.call("infer", {"errandId": errand_id, "prompt": "base"})
        assert (told["text"], told["layerId"], told["baseModel"]) == (str(folder), "layer-1", str(tmp_path / "model"))
        mixed: Json = {"errandId": errand_id, "baseModel": "/models/other", "prompt": "base"}
        assert (await rig.refused("infer", mixed)).field == "baseModel"


async def test_a_whole_model_with_a_file_that_was_not_published_is_not_loaded(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        folder = await layer_here(rig, "layer-1", base_model=tmp_path / "model", format="full_model")
        (folder / "more.safetensors").write_bytes(b"poison")
        error = await rig.refused("infer", {"layerId": "layer-1", "prompt": "one"})
        assert error.kind is ErrorKind.CONFLICT


async def test_who_may_not_operate_asks_only_base_models_that_are_in_use_here(tmp_path: Path) -> None:
    """Loading a model takes the machine's memory, and a folder's name is anybody's guess."""
    other = tmp_path / "other"
    other.mkdir()
    async with answering(tmp_path) as rig:
        await layer_here(rig, "layer-1", base_model=tmp_path / "model")
        asked: Json = {"personaId": "ada", "prompt": "one"}
        for caller in (ADAS, Caller(actor="uid:7", role=Role.CAPTURE)):
            error = await rig.refused("infer", asked | {"baseModel": str(other)}, caller=caller)
            assert (error.kind, error.field) == (ErrorKind.FORBIDDEN, "baseModel")
            reply = await rig.execute("infer", asked | {"baseModel": str(tmp_path / "model")}, caller=caller)
            assert isinstance(reply.error, msgspec.UnsetType)
        opened: Json = {"personaId": "ada", "domain": "sums", "baseModel": str(other), "input": "1", "output": "2"}
        assert not isinstance((await rig.execute("capture-interaction", opened, caller=ADAS)).error, ErrorBody)
        assert (await rig.refused("infer", asked | {"baseModel": str(other)}, caller=ADAS)).kind is ErrorKind.FORBIDDEN
        assert (await rig.call("infer", asked | {"baseModel": str(other)}))["text"] == "one"
        rule = {"provider": "simulated", "template": {"method": {"type": "lora"}}}
        await rig.call("trigger-set", {"personaId": "ada", "domain": "sums", "baseModel": str(other), "rule": rule})
        reply = await rig.execute("infer", asked | {"baseModel": str(other)}, caller=ADAS)
        assert isinstance(reply.error, msgspec.UnsetType), "an operator had it learn"


async def test_pieces_come_before_the_result_to_those_who_ask_for_them(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        asked: Json = {"baseModel": str(tmp_path / "model"), "prompt": "one two"}
        assert await heard(rig, asked | {"stream": True}) == (["one", "two"], "one two")
        assert await heard(rig, asked) == ([], "one two")


async def heard(rig: Rig, params: Json) -> tuple[list[str], str]:
    pieces: list[str] = []

    async def tell(piece: msgspec.Struct) -> None:
        assert isinstance(piece, Piece)
        pieces.append(piece.text)

    reply: Reply = await rig.parts.dispatch.execute(
        "genome/infer", params, caller=Caller(actor="uid:1", role=Role.ADMIN), tell=tell
    )
    assert not isinstance(reply.error, ErrorBody)
    assert isinstance(reply.result, msgspec.Raw)
    return pieces, str(msgspec.json.decode(reply.result)["text"])


async def test_without_the_local_provider_nobody_answers(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig:
        await rig.reconfigure({"allowed_providers": ["simulated"]})
        error = await rig.refused("infer", {"baseModel": str(tmp_path / "model"), "prompt": "one"})
        assert error.kind is ErrorKind.NOT_FOUND
