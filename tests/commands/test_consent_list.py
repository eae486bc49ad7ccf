"""consent-list tells whose rows may go where, who said so, and why."""

from tests.daemon.daemon_rig import Rig


async def test_it_tells_the_latest_decision_of_each_with_who_made_it(quiet: Rig) -> None:
    for persona in ("ada", "bob"):
        await quiet.call("consent-give", {"personaId": persona, "provider": "simulated", "reason": "by contract"})
    await quiet.call("consent-withdraw", {"personaId": "bob", "provider": "simulated", "reason": "contract ended"})
    answer = await quiet.call("consent-list")
    told = [(one["personaId"], one["state"], one["reason"], one["decidedBy"]) for one in answer["consents"]]
    assert told == [("ada", "given", "by contract", "uid:1000"), ("bob", "withdrawn", "contract ended", "uid:1000")]
    assert answer["required"] is True
    only = await quiet.call("consent-list", {"personaId": "bob", "provider": "simulated"})
    assert [one["personaId"] for one in only["consents"]] == ["bob"]
    assert (await quiet.call("consent-list", {"personaId": "nobody"}))["consents"] == []
