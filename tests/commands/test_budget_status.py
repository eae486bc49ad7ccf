"""budget-status tells what may be spent, what was, what is held for jobs under way, and what is left."""

from datetime import UTC, datetime
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

PAID: Json = {
    "providers": {"simulated": {"price_usd": 1.25}},
    "budget": {
        "overall": {"dayUsd": 10},
        "personas": {"ada": {"monthUsd": 4}, "idle": {"dayUsd": 1}},
        "providers": {"elsewhere": {"dayUsd": 1}},
    },
}


def scope(status: Json, kind: str, name: str | None = None) -> Json:
    [found] = [one for one in status["scopes"] if (one["kind"], one["name"]) == (kind, name)]
    return dict(found)


async def test_nothing_is_capped_and_nothing_is_spent_at_first(quiet: Rig) -> None:
    status = await quiet.call("budget-status")
    assert (status["origin"], status["setBy"], status["open"], status["unpriced"]) == ("config", None, [], 0)
    [overall] = status["scopes"]
    nothing = {"settledUsd": 0.0, "reservedUsd": 0.0, "capUsd": None, "leftUsd": None}
    assert (overall["kind"], overall["day"], overall["month"]) == ("overall", nothing, nothing)
    assert status["day"].startswith(status["month"])
    assert status["asOf"] == quiet.journal.head().position


async def test_what_is_reserved_and_what_was_settled_stand_in_every_scope_they_count_for(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=PAID) as rig:
        await rig.ended(await rig.create_job())
        running_job = await rig.create_job(secondsPerStep=3600)
        status = await rig.call("budget-status")
        window = {"settledUsd": 1.25, "reservedUsd": 1.25}
        assert scope(status, "overall")["day"] == window | {"capUsd": 10, "leftUsd": 7.5}
        assert scope(status, "overall")["month"] == window | {"capUsd": None, "leftUsd": None}
        assert scope(status, "persona", "ada")["month"] == window | {"capUsd": 4, "leftUsd": 1.5}
        assert scope(status, "provider", "simulated")["day"] == window | {"capUsd": None, "leftUsd": None}
        assert scope(status, "persona", "idle")["day"]["leftUsd"] == 1
        [held] = status["open"]
        assert (held["jobId"], held["usd"], held["source"], held["attemptOf"]) == (
            running_job,
            1.25,
            "estimate",
            "create",
        )
        assert held["day"] == status["day"]


async def test_a_cap_of_the_configuration_for_a_provider_that_does_not_exist_is_pointed_out(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=PAID, courier=False) as rig:
        [warning] = (await rig.call("budget-status"))["warnings"]
        assert warning["field"] == "budget.providers.elsewhere"


async def test_what_is_still_reserved_of_an_earlier_month_is_shown_and_counts_for_that_month(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=PAID, courier=False) as rig:
        job_id = await rig.create_job()
        now = datetime.fromtimestamp(rig.clock() / 1_000_000, tz=UTC)
        rig.clock.ahead_us += (32 - now.day) * 86_400_000_000
        status = await rig.call("budget-status")
        assert [one["jobId"] for one in status["open"]] == [job_id]
        assert scope(status, "overall")["month"]["reservedUsd"] == 0.0
        assert status["open"][0]["day"] < status["day"]


async def test_a_price_that_nobody_knows_is_counted_as_unpriced(tmp_path: Path) -> None:
    given: Json = {"providers": {"simulated": {"price_usd": "unknown"}}, "budget": {"overall": {"dayUsd": 1}}}
    async with running(tmp_path / "d", given=given) as rig:
        dataset_id = await rig.dataset()
        configuration = {
            "model": {"baseModel": "tiny"},
            "datasets": {"trainingFileId": dataset_id},
            "method": {"type": "lora"},
        }
        params = {"personaId": "ada", "provider": "simulated", "configuration": configuration}
        error = await rig.refused("job-create", params)
        assert (error.kind, error.field) == ("budget_exceeded", "budget.allowUnknown")
        await rig.call("budget-set", {"budget": {"overall": {"dayUsd": 1}, "allowUnknown": True}})
        created = await rig.call("job-create", params)
        assert created["estimatedCost"] is None
        await rig.ended(created["jobId"])
        status = await rig.call("budget-status")
        assert (status["unpriced"], status["open"]) == (1, [])
