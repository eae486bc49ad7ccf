"""budget-set replaces the caps, is an admin's, and says who did it; null gives the configuration its word back."""

from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.commands.context import Caller
from genomed.entities.spend_events import BudgetSet
from genomed.entities.types import Role

CAPS: Json = {
    "overall": {"dayUsd": 5},
    "personas": {"ada": {"jobUsd": 1.5}},
    "providers": {"simulated": {"monthUsd": 9}},
}


async def test_the_caps_of_the_log_replace_those_of_the_configuration_whole(tmp_path: Path) -> None:
    given: Json = {"budget": {"overall": {"monthUsd": 100}, "allowUnknown": True}}
    async with running(tmp_path / "d", given=given, courier=False) as rig:
        answer = await rig.call("budget-set", {"budget": CAPS, "reason": "a quiet month"})
        assert (answer["origin"], answer["changed"]) == ("log", True)
        status = await rig.call("budget-status")
        assert (status["origin"], status["setBy"], status["reason"]) == ("log", "uid:1000", "a quiet month")
        assert status["budget"]["overall"] == {"jobUsd": None, "dayUsd": 5, "monthUsd": None}
        assert status["budget"]["allowUnknown"] is False
        back = await rig.call("budget-set", {"budget": None})
        assert (back["origin"], back["budget"]["overall"]["monthUsd"]) == ("config", 100)
        status = await rig.call("budget-status")
        assert (status["origin"], status["budget"]["allowUnknown"]) == ("config", True)


async def test_setting_what_stands_already_writes_nothing(quiet: Rig) -> None:
    await quiet.call("budget-set", {"budget": CAPS})
    again = await quiet.call("budget-set", {"budget": CAPS, "reason": "another"})
    assert again["changed"] is False
    assert len(await quiet.events("budget/caps", BudgetSet)) == 1


async def test_only_an_admin_sets_it(quiet: Rig) -> None:
    error = await quiet.refused("budget-set", {"budget": CAPS}, caller=Caller(actor="uid:7", role=Role.OPERATE))
    assert error.kind == "forbidden"


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"overall": {"dayUsd": -1}}, "budget.overall.dayUsd"),
        ({"overall": {"weekUsd": 1}}, "budget.overall.weekUsd"),
        ({"providers": {"nobody": {"dayUsd": 1}}}, "budget.providers.nobody"),
        ({"personas": {"ada": 5}}, "budget.personas.ada"),
        ({"overall": {"dayUsd": 1e12}}, "budget.overall.dayUsd"),
    ],
)
async def test_a_cap_that_would_cap_nothing_is_refused_with_its_field(quiet: Rig, budget: Json, field: str) -> None:
    error = await quiet.refused("budget-set", {"budget": budget})
    assert (error.kind, error.field) == ("invalid_request", field)


async def test_a_cap_below_what_is_reserved_stops_nothing_and_admits_nothing_more(tmp_path: Path) -> None:
    given: Json = {"providers": {"simulated": {"price_usd": 1.0}}}
    async with running(tmp_path / "d", given=given) as rig:
        job_id = await rig.create_job()
        await rig.call("budget-set", {"budget": {"overall": {"dayUsd": 0.5}}})
        assert (await rig.ended(job_id)).status == "succeeded"
        [overall, *_] = (await rig.call("budget-status"))["scopes"]
        assert (overall["day"]["settledUsd"], overall["day"]["leftUsd"]) == (1.0, 0.0)
