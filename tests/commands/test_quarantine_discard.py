"""What is discarded out of quarantine is never learned from, by no later word."""

from tests.daemon.daemon_rig import Rig


async def test_it_is_for_good(quiet: Rig) -> None:
    held = [(await quiet.capture(1, writtenBy=["mail"]))["interactionId"]]
    assert (await quiet.call("quarantine-discard", {"interactionIds": held}))["discarded"] == 1
    assert await quiet.call("quarantine-discard", {"interactionIds": held}) == {"discarded": 0, "already": held}
    refused = await quiet.refused("quarantine-release", {"interactionIds": held})
    assert "discarded" in refused.message
    await quiet.call("capture-feedback", {"interactionId": held[0], "kind": "approval"})
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["quarantined"]) == (0, 0)
    assert (await quiet.call("quarantine-list", {"state": "discarded"}))["total"] == 1


async def test_what_does_not_wait_is_not_taken_out_of_use_by_it(quiet: Rig) -> None:
    kept = (await quiet.capture(1))["interactionId"]
    refused = await quiet.refused("quarantine-discard", {"interactionIds": [kept]})
    assert "genome/forget" in refused.message
