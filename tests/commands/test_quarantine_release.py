"""Only an operator lets out of quarantine; what is released is an example like any other."""

from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Rig, running

from genomed.commands.context import Caller
from genomed.entities.experience_events import ExamplesReserved
from genomed.entities.types import Role

AGENT = Caller(actor="uid:1001", role=Role.CAPTURE)
BOUND = Caller(actor="token:tok-1", role=Role.OPERATE, personas=frozenset({"ada"}))


async def test_what_is_released_counts_and_wakes_the_trigger(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        bucket_id = await rig.rule(minExamples=10)
        held = [one["interactionId"] for one in await rig.captures(10, writtenBy=["mail"])]
        assert (await rig.bucket())["ready"] is False
        answer = await rig.call("quarantine-release", {"interactionIds": held, "reason": "read them"})
        assert answer == {"released": 10, "already": []}

        async def fired() -> bool:
            return bool(await rig.events(f"bucket/{bucket_id}", ExamplesReserved))

        await rig.until(fired, "the trigger")
        assert (await rig.call("quarantine-list", {"state": "released"}))["total"] == 10


async def test_what_was_judged_meanwhile_counts_as_judged(quiet: Rig) -> None:
    kept = await quiet.capture(1, writtenBy=["mail"])
    await quiet.call("capture-feedback", {"interactionId": kept["interactionId"], "kind": "critique"})
    await quiet.call("quarantine-release", {"interactionIds": [kept["interactionId"]]})
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["unusable"], counts["quarantined"]) == (0, 1, 0)


async def test_releasing_twice_changes_nothing(quiet: Rig) -> None:
    held = [(await quiet.capture(1, writtenBy=["mail"]))["interactionId"]]
    await quiet.call("quarantine-release", {"interactionIds": held})
    assert await quiet.call("quarantine-release", {"interactionIds": held}) == {"released": 0, "already": held}


@pytest.mark.parametrize("caller", [AGENT, BOUND], ids=["capture", "bound"])
async def test_nobody_lets_out_what_it_captured_itself(quiet: Rig, caller: Caller) -> None:
    held = [(await quiet.capture(1, writtenBy=["mail"]))["interactionId"]]
    for command in ("quarantine-release", "quarantine-discard"):
        assert (await quiet.refused(command, {"interactionIds": held}, caller=caller)).kind == "forbidden"


async def test_all_or_none_and_each_that_is_wrong_is_named(quiet: Rig) -> None:
    held = (await quiet.capture(1, writtenBy=["mail"]))["interactionId"]
    refused = await quiet.refused("quarantine-release", {"interactionIds": [held, "int-x", "int-y"]})
    assert [one.field for one in refused.details] == ["interactionIds[1]", "interactionIds[2]"]
    assert (await quiet.call("quarantine-list"))["total"] == 1
