"""config-show tells every value that holds and where it came from, and nothing that could be a key."""

from pathlib import Path

import msgspec
from tests.daemon.daemon_rig import ADMIN, Json, Rig, running

from genomed.commands.context import Caller
from genomed.entities.types import Role

HIDDEN = "(hidden)"


async def shown(rig: Rig, **params: object) -> dict[str, Json]:
    return {one["field"]: one for one in (await rig.call("config-show", params))["values"]}


async def test_every_value_is_told_with_its_source_and_whether_a_reload_takes_it(quiet: Rig) -> None:
    values = await shown(quiet)
    assert msgspec.json.decode(values["limits.body_bytes"]["value"]) == quiet.settings.limits.body_bytes
    assert (values["limits.body_bytes"]["source"], values["limits.body_bytes"]["reload"]) == ("default", False)
    assert values["courier.questions"]["reload"] is True
    assert values["learning.trigger.minExamples"]["value"] == str(quiet.settings.learning.trigger.min_examples)
    assert values["policies"]["value"] == "{}", "an empty table is a value, too"


async def test_one_section_or_what_is_no_default_can_be_asked_for(quiet: Rig) -> None:
    assert set(await shown(quiet, section="limits.body_bytes")) == {"limits.body_bytes"}
    assert {name.partition(".")[0] for name in await shown(quiet, section="courier")} == {"courier"}
    refused = await quiet.refused("config-show", {"section": "cour"})
    assert (refused.kind, refused.field) == ("not_found", "section"), "a misspelt section is no empty one"
    assert "courier" in (refused.remedy or "")
    assert await shown(quiet, changed=True) == {}, "what a test gives has no source"


async def test_references_are_shown_and_what_may_be_a_key_is_not(tmp_path: Path) -> None:
    providers: Json = {
        "fireworks": {"api_key": "cred:fireworks", "account_id": "acme", "timeout_s": 3.0},
        "plugged": {
            "api_key": "canary-1",
            "nested": {"AuthorizationHeader": "canary-2", "max_tokens": 7},
            "headers": {"X-Mine": "canary-3"},
            "secrets": ["canary-4"],
            "note": "sk-proj-" + "canary5" * 5,
            "url": "https://ada:canary-6@models.example/v1",
        },
    }
    async with running(tmp_path / "d", given={"providers": providers}, courier=False, triggers=False) as rig:
        values = {name: one["value"] for name, one in (await shown(rig, section="providers")).items()}
    assert "canary" not in str(values)
    assert values["providers.fireworks.api_key"] == '"cred:fireworks"'
    assert values["providers.fireworks.account_id"] == '"acme"'
    assert values["providers.plugged.api_key"] == HIDDEN
    assert values["providers.plugged.headers.X-Mine"] == HIDDEN
    assert values["providers.plugged.nested.max_tokens"] == "7"
    assert values["providers.plugged.url"] == f'"https://{HIDDEN}@models.example/v1"'


async def test_it_is_for_operators(quiet: Rig) -> None:
    agent = Caller(actor="uid:7", role=Role.CAPTURE)
    assert (await quiet.refused("config-show", caller=agent)).kind == "forbidden"
    assert ADMIN.role is Role.ADMIN
