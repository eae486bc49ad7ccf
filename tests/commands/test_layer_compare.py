"""layer-compare: both models are asked the same; the texts are a blob, the log has the numbers."""

from pathlib import Path

import msgspec
import pytest
from tests.commands.served import a_layer, served, serving
from tests.daemon.daemon_rig import Json, Rig

from genomed.adapters.simulated import Simulated
from genomed.adapters.simulated.serving import SimulatedServing
from genomed.entities.capabilities import Features
from genomed.entities.deployment_events import LayerCompared
from genomed.entities.errors import Transient
from genomed.entities.ports import Answer

PROMPTS: Json = {
    "prompts": {
        "three": {
            "summary": "for this test",
            "system": "be brief",
            "prompts": [{"text": "who?", "keywords": ["WHO", "nobody"]}, {"text": "where?"}, {"text": "when?"}],
        }
    }
}


async def test_the_answers_stand_side_by_side_and_the_texts_are_not_in_the_log(tmp_path: Path) -> None:
    async with serving(tmp_path, more=PROMPTS) as rig:
        layer_id = await a_layer(rig)
        deployment_id = await served(rig, layer_id)
        answer = await rig.call("layer-compare", {"layerId": layer_id, "prompts": "three"})
        assert (answer["simulated"], answer["deploymentId"]) == (True, deployment_id)
        assert [one["prompt"] for one in answer["comparisons"]] == ["who?", "where?", "when?"]
        assert answer["tuned"]["model"] != answer["base"]["model"]
        assert (answer["tuned"]["answered"], answer["base"]["failed"]) == (3, 0)
        first = answer["comparisons"][0]
        assert answer["tuned"]["model"] in first["tuned"]["text"]
        assert (first["keywords"], first["tuned"]["keywords"], answer["tuned"]["keywords"]) == (2, 1, 0.5)
        [event] = await rig.events(f"layer/{layer_id}", LayerCompared)
        assert (event.prompts, event.answered, event.prompt_set) == (3, 6, "three")
        assert b"who?" not in msgspec.json.encode(event)
        shown = await rig.call("layer-show", {"layerId": layer_id, "answers": True})
        assert shown["compared"]["answersSha256"] == answer["answersSha256"]
        assert shown["answers"]["comparisons"] == answer["comparisons"]
        await rig.journal.erase_blob(answer["answersSha256"])
        assert (await rig.call("layer-show", {"layerId": layer_id, "answers": True}))["answers"] is None


async def test_prompts_may_be_given_as_they_are(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await a_layer(rig)
        deployment_id = await served(rig, layer_id)
        params = {"layerId": layer_id, "deploymentId": deployment_id, "prompts": ["a?", "b?"], "maxTokens": 3}
        answer = await rig.call("layer-compare", params)
        assert [len(one["tuned"]["text"]) for one in answer["comparisons"]] == [12, 12]
        error = await rig.refused("layer-compare", params | {"prompts": "nowhere"})
        assert (error.kind, error.field) == ("not_found", "prompts")
        for wrong in ([], [""], 5):
            assert (await rig.refused("layer-compare", params | {"prompts": wrong})).kind == "invalid_request"


async def test_a_prompt_that_fails_has_its_error_and_the_others_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, broken_answers=1) as rig:
        layer_id = await a_layer(rig)
        await served(rig, layer_id)
        answer = await rig.call("layer-compare", {"layerId": layer_id, "prompts": ["a?", "b?"]})
        sides = [one[side] for one in answer["comparisons"] for side in ("tuned", "base")]
        assert sorted(side["text"] is None for side in sides) == [False, False, False, True]
        assert answer["tuned"]["failed"] + answer["base"]["failed"] == 1

        async def broken(*_: object, **__: object) -> Answer:
            raise Transient("503: nobody answers", provider="simulated")

        monkeypatch.setattr(SimulatedServing, "answer", broken)
        error = await rig.refused("layer-compare", {"layerId": layer_id, "prompts": ["a?", "b?"]})
        assert (error.kind, error.retryable) == ("transient", True)


async def test_what_is_not_deployed_or_not_ready_or_serves_another_layer_does_not_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, looks_until_ready=1000) as rig:
        first, second = await a_layer(rig), await a_layer(rig)
        ask = {"layerId": first, "prompts": ["a?"]}
        error = await rig.refused("layer-compare", ask)
        assert (error.kind, "layer-deploy" in (error.remedy or "")) == ("conflict", True)
        deployed = await rig.call("layer-deploy", {"layerId": first, "hours": 1})
        deployment_id = deployed["deployment"]["deploymentId"]
        reply = await rig.execute("layer-compare", ask)
        assert "does not answer" in str(reply.error)
        reply = await rig.execute("layer-compare", ask | {"layerId": second, "deploymentId": deployment_id})
        assert "serves layer" in str(reply.error)


async def test_a_model_that_its_provider_serves_by_itself_needs_no_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await a_layer(rig)
        able = await rig.parts.providers.get("simulated").capabilities()

        async def hosted(_: Simulated) -> object:
            return msgspec.structs.replace(able, features=Features(serving=False))

        monkeypatch.setattr(Simulated, "capabilities", hosted)
        answer = await rig.call("layer-compare", {"layerId": layer_id, "prompts": ["a?"]})
        assert answer["deploymentId"] is None
        shown = await rig.call("layer-show", {"layerId": layer_id})
        assert answer["tuned"]["model"] == shown["layer"]["artifact"]["location"]
        monkeypatch.setattr(rig.parts.providers.get("simulated"), "serving", None)
        assert (await rig.refused("layer-compare", {"layerId": layer_id, "prompts": ["a?"]})).kind == "unsupported"


async def test_an_unknown_layer_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("layer-compare", {"layerId": "ly-nowhere", "prompts": ["a?"]})).kind == "not_found"
