"""genome/infer: whom it asks, what it refuses, and that it writes nothing."""

from pathlib import Path

import msgspec
from tests.commands.answering import answering, layer_here
from tests.daemon.daemon_rig import Json, Rig

from genomed.commands.context import Caller
from genomed.commands.infer import Piece
from genomed.daemon.dispatch import Reply
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.types import Role

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
