"""trigger-list shows every bucket's rule and what it waits for, and the default of those without one."""

from tests.daemon.daemon_rig import Rig


async def test_each_bucket_has_one_line_with_what_it_waits_for(quiet: Rig) -> None:
    await quiet.rule(minExamples=20)
    await quiet.capture(1, persona="bob")
    listed = await quiet.call("trigger-list")
    by_persona = {one["personaId"]: one for one in listed["triggers"]}
    assert by_persona["ada"]["ruleIsDefault"] is False
    assert by_persona["bob"]["ruleIsDefault"] is True
    assert by_persona["bob"]["rule"] == listed["default"]
    assert by_persona["bob"]["reason"] == "1 of 50 examples, 0 of 20 of high quality"
    assert listed["asOf"] == quiet.journal.head().position


async def test_one_persona_may_be_asked_for(quiet: Rig) -> None:
    await quiet.capture(1)
    await quiet.capture(1, persona="bob")
    [only] = (await quiet.call("trigger-list", {"personaId": "bob"}))["triggers"]
    assert (only["personaId"], only["code"]) == ("bob", "collecting")
