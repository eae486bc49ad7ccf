"""layer-deploy: explicit and priced; without a known price only where that is accepted, and within the caps."""

from pathlib import Path

import anyio
import msgspec
import pytest
from tests.commands.served import a_layer, in_state, served, serving
from tests.daemon.daemon_rig import Rig

from genomed.adapters.simulated import Simulated
from genomed.commands.context import Caller
from genomed.entities.capabilities import Features
from genomed.entities.errors import ErrorBody
from genomed.entities.types import Role


async def test_the_price_is_shown_with_its_basis_and_all_its_hours_are_reserved(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=1.5) as rig:
        layer_id = await a_layer(rig)
        params = {"layerId": layer_id, "hours": 4, "accelerators": 2}
        answer = await rig.call("layer-deploy", params)
        assert (answer["hourly"]["usd"], answer["mostUsd"]) == (3.0, 12.0)
        assert "2 simulated accelerators" in answer["hourly"]["basis"]
        assert answer["deployment"]["simulated"] is True
        [held] = (await rig.call("budget-status"))["open"]
        assert held["usd"] == 12.0


async def test_a_dry_run_shows_the_price_and_changes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=1.5) as rig:
        layer_id = await a_layer(rig)
        before = rig.journal.head()
        answer = await rig.call("layer-deploy", {"layerId": layer_id, "hours": 4, "dryRun": True})
        assert (answer["mostUsd"], answer["deployment"], rig.journal.head()) == (6.0, None, before)


async def test_without_a_known_price_it_is_refused_unless_that_is_accepted(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_known=False) as rig:
        layer_id = await a_layer(rig)
        params = {"layerId": layer_id, "hours": 4}
        error = await rig.refused("layer-deploy", params)
        assert (error.kind, error.field) == ("invalid_request", "acceptUnknownPrice")
        answer = await rig.call("layer-deploy", params | {"acceptUnknownPrice": True})
        assert (answer["mostUsd"], answer["hourly"]["source"]) == (None, "unknown")
        over = await rig.call("layer-undeploy", {"deploymentId": answer["deployment"]["deploymentId"]})
        await in_state(rig, over["deployment"]["deploymentId"], "ended")
        assert (await rig.call("budget-status"))["unpriced"] <= 1


async def test_above_what_the_caller_or_a_cap_allows_it_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=2, more={"budget": {"overall": {"monthUsd": 5}}}) as rig:
        layer_id = await a_layer(rig)
        params = {"layerId": layer_id, "hours": 2}
        error = await rig.refused("layer-deploy", params | {"maxHourlyUsd": 1.99})
        assert (error.kind, error.field) == ("budget_exceeded", "maxHourlyUsd")
        error = await rig.refused("layer-deploy", params | {"hours": 3})
        assert (error.kind, error.field) == ("budget_exceeded", "budget.overall.monthUsd")
        await rig.call("layer-deploy", params)


async def test_a_layer_has_one_open_deployment_however_many_ask_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, hourly_usd=1) as rig:
        layer_id = await a_layer(rig)
        errors: list[ErrorBody] = []

        async def ask() -> None:
            reply = await rig.execute("layer-deploy", {"layerId": layer_id, "hours": 1})
            if isinstance(reply.error, ErrorBody):
                errors.append(reply.error)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        assert [error.kind for error in errors] == ["conflict"] * 4
        [only] = (await rig.call("deployment-list"))["deployments"]
        await rig.call("layer-undeploy", {"deploymentId": only["deploymentId"]})
        await in_state(rig, only["deploymentId"], "ended")
        second = await served(rig, layer_id)
        assert second != only["deploymentId"]


async def test_an_agent_may_not_spend_by_the_hour(quiet: Rig) -> None:
    agent = Caller(actor="uid:7", role=Role.CAPTURE)
    for name in ("layer-deploy", "layer-undeploy", "layer-compare"):
        assert (await quiet.refused(name, {}, caller=agent)).kind == "forbidden"


async def test_where_nothing_is_served_or_needs_no_deployment_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as rig:
        layer_id = await a_layer(rig)
        able = await rig.parts.providers.get("simulated").capabilities()

        async def hosted(_: Simulated) -> object:
            return msgspec.structs.replace(able, features=Features(serving=False))

        monkeypatch.setattr(Simulated, "capabilities", hosted)
        error = await rig.refused("layer-deploy", {"layerId": layer_id, "hours": 1})
        assert (error.kind, "without a deployment" in error.message) == ("unsupported", True)
        monkeypatch.setattr(rig.parts.providers.get("simulated"), "serving", None)
        error = await rig.refused("layer-deploy", {"layerId": layer_id, "hours": 1})
        assert (error.kind, "serves nothing" in error.message) == ("unsupported", True)


async def test_what_is_not_there_or_makes_no_sense_is_refused(quiet: Rig) -> None:
    assert (await quiet.refused("layer-deploy", {"layerId": "ly-nowhere", "hours": 1})).kind == "not_found"
    assert (await quiet.refused("layer-deploy", {"layerId": "ly-nowhere", "hours": 0})).field == "hours"
    assert (await quiet.refused("layer-deploy", {"layerId": "ly-nowhere"})).field == "hours"
