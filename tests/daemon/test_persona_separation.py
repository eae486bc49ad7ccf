"""Whoever is bound to some personas gets not a byte of another one's, by no command, by no stream."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from aiohttp import WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.commands.served import served, serving
from tests.daemon.daemon_rig import Json, Rig, chat, listening, running, write_rows
from tests.patience import PATIENCE_S

from genomed import commands
from genomed.commands.context import Caller
from genomed.daemon.access.owners import Owners
from genomed.daemon.access.table import ABOUT_THE_HOUSE, OF_EVERYBODY, Owned, claims, plan_of, short
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.types import Role

CANARY = "canary-7f3e"
ADA = Caller(actor="token:tok-ada", role=Role.ADMIN, personas=frozenset({"ada"}))

World = Mapping[str, str]

WORTH_A_TRY: Json = {
    "limit": 200,
    "previewRows": 20,
    "lineageRows": 50,
    "answers": 5,
    "schemas": True,
    "demote": False,
    "dryRun": True,
    "cursor": "999999",
    "sessionId": "@session",
    "personId": "@person",
    "domain": "@domain",
    "baseModel": "tiny",
    "kind": "approval",
    "decision": "reject",
    "outcome": "dropped",
    "reason": "r",
    "provider": "simulated",
    "path": "/nowhere",
    "generator": "g",
    "traitType": "@domain",
    "input": "1+1",
    "output": "2",
    "rows": [{"row": {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}}],
    "rowIds": ["0123456789abcdef"],
    "prompts": ["hello"],
    "hours": 1,
    "format": "chat",
    "method": "sft",
    "configuration": {
        "model": {"baseModel": "tiny"},
        "datasets": {"trainingFileId": "@dataset"},
        "method": {"type": "lora"},
    },
    "participants": {"@persona": {"contribution": "c"}},
    "name": "n",
    "recipe": "contradiction",
    "wanted": 1,
}
"""Values for fields by their names, so that requests get past the types; `@thing` is somebody's."""


async def world(rig: Rig, persona: str, mark: str) -> World:
    """One of everything that a persona can own, with `mark` in every text; names that requests say back have none."""
    domain, session, person = f"sums of {persona}", f"session of {persona}", f"person of {persona}"
    said = {
        "personaId": persona,
        "domain": domain,
        "baseModel": "tiny",
        "sessionId": session,
        "personId": person,
    }
    captured = [
        await rig.call("capture-interaction", said | {"input": f"{mark}{n}+{n}", "output": f"{mark}{2 * n}"})
        for n in range(3)
    ]
    interaction = str(captured[0]["interactionId"])
    await rig.call("capture-feedback", {"interactionId": interaction, "kind": "critique", "content": f"{mark}words"})
    rows = write_rows(rig.data_dir / f"{persona}.jsonl", [chat(f"{mark}q{n}", f"{mark}a{n}") for n in range(12)])
    named = {"personaId": persona, "name": f"{mark}set"}
    dataset = str((await rig.call("dataset-import", named | {"path": str(rows), "evalShare": 0.3}))["datasetId"])
    draft = str((await rig.call("dataset-create", named | {"rowKind": "chat"}))["draftId"])
    proposed = await rig.call(
        "review-propose",
        {"draftId": draft, "generator": f"{mark}maker", "rows": [{"row": chat(f"{mark}r", f"{mark}s")}]},
    )
    job = await rig.create_job(dataset_id=dataset, personaId=persona, domain=domain)
    layer = (await rig.ended(job)).layer_id
    [bucket] = (await rig.call("bucket-status", {"personaId": persona, "domain": domain}))["buckets"]
    return {
        "persona": persona,
        "interaction": interaction,
        "session": session,
        "person": person,
        "domain": domain,
        "dataset": dataset,
        "draft": draft,
        "review": str(proposed["batchId"]),
        "item": str(proposed["items"][0]["itemId"]),
        "job": job,
        "layer": str(layer),
        "bucket": str(bucket["bucketId"]),
    }


def placeholders(name: str) -> Json:
    """A request of this command that names something owned wherever it can."""
    module = commands.command(name)
    assert module is not None
    plan = plan_of(module.NAME, module.Params)
    owned = {place.path[0]: place.holds for place in plan.places if len(place.path) == 1}
    made: Json = {}
    for field in msgspec.structs.fields(module.Params):
        wire = field.encode_name
        if isinstance(kind := owned.get(wire), Owned):
            made[wire] = f"@{kind.value}"
        elif wire == "itemIds":
            made[wire] = ["@item"]
        elif wire == "personaIds":
            made[wire] = ["@persona"]
        elif wire in WORTH_A_TRY:
            made[wire] = WORTH_A_TRY[wire]
        elif field.required:
            made[wire] = "x"
    return made


def filled(value: object, whose: World) -> object:
    match value:
        case str() if value.startswith("@"):
            return whose.get(value[1:], "none-of-it")
        case dict():
            return {str(filled(name, whose)): filled(one, whose) for name, one in value.items()}
        case list():
            return [filled(one, whose) for one in value]
        case _:
            return value


MODULES = commands.commands()
DECIDED = [
    module.NAME
    for module in MODULES
    if plan_of(module.NAME, module.Params).names_owned
    and not plan_of(module.NAME, module.Params).unknown
    and short(module.NAME) not in OF_EVERYBODY
]


def test_every_command_is_decided_by_the_table_or_about_the_house_or_refused() -> None:
    house = {module.NAME for module in MODULES if short(module.NAME) in ABOUT_THE_HOUSE}
    assert len(house) == len(ABOUT_THE_HOUSE), "a name in the list is no command"
    for module in MODULES:
        if module.NAME in house:
            assert plan_of(module.NAME, module.Params).unknown == (), module.NAME
    # What an agent's day needs is decided: were the table to lose a word, these would be refused.
    needed = {"capture-interaction", "capture-feedback", "job-create", "job-status", "layer-list", "review-propose"}
    assert {f"genome/{name}" for name in needed} <= set(DECIDED)


async def test_a_bound_caller_must_name_something_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig:
        for module in MODULES:
            if short(module.NAME) in ABOUT_THE_HOUSE:
                continue
            required = {
                field.encode_name: WORTH_A_TRY.get(field.encode_name, "x")
                for field in msgspec.structs.fields(module.Params)
                if field.required
            }
            reply = await rig.execute(module.NAME, filled(required, {"persona": "eve"}), caller=ADA)
            assert isinstance(reply.error, ErrorBody), module.NAME
            assert reply.error.kind in (ErrorKind.FORBIDDEN, ErrorKind.INVALID_REQUEST), (module.NAME, reply.error)
        listed = await rig.refused("job-list", {}, caller=ADA)
    assert listed.remedy is not None
    assert (listed.field, "personaId" in listed.remedy) == ("personaId", True)


async def test_no_bound_caller_gets_a_byte_of_another_personas_text_through_any_command(tmp_path: Path) -> None:
    wishes: list[tuple[str, Json, dict[str, bool]]] = []

    @settings(max_examples=250, database=None, deadline=None)
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(DECIDED))
        whole = placeholders(name)
        kept = data.draw(st.sets(st.sampled_from(sorted(whole)))) if whole else set()
        module = commands.command(name)
        assert module is not None
        required = {field.encode_name for field in msgspec.structs.fields(module.Params) if field.required}
        chosen = {field: value for field, value in whole.items() if field in kept | required}
        wishes.append((name, chosen, {field: data.draw(st.booleans()) for field in chosen}))

    draw()
    async with running(tmp_path / "d", triggers=False) as rig:
        ada, eve = await world(rig, "ada", ""), await world(rig, "eve", CANARY)
        for name in DECIDED:  # all of it hers: refused, or it was malformed
            reply = await rig.execute(name, filled(placeholders(name), eve), caller=ADA)
            assert isinstance(reply.error, ErrorBody), name
        answered = 0
        for name, chosen, of_eve in wishes:
            params = {field: filled(value, eve if of_eve[field] else ada) for field, value in chosen.items()}
            reply = await rig.execute(name, params, caller=ADA)
            shown = msgspec.json.encode(reply).decode()
            assert CANARY not in shown, (name, params, shown)
            answered += isinstance(reply.result, msgspec.Raw)
    assert answered > 10, "nothing of ada's own was answered either"


async def test_streams_show_a_bound_caller_its_own_personas_events_and_all_of_them(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig, listening(rig) as client:
        ada = await world(rig, "ada", "")
        await world(rig, "eve", CANARY)
        made = await rig.call("token-create", {"personaIds": ["ada"], "role": "read"})
        client.headers["Authorization"] = f"Bearer {made['token']}"
        async with client.get("/events?after=0&follow=false") as response:
            body = (await response.read()).decode()
        assert CANARY not in body
        assert '"eve"' not in body
        assert "of eve" not in body
        for thing in ("job", "draft", "dataset", "layer", "interaction", "review", "item"):
            assert f'"{thing}/{ada[thing]}"' in body, thing
        async with client.get(f"/events?after=0&follow=false&stream=token/{made['tokenId']}") as response:
            assert b"event:" not in await response.read()
        async with client.ws_connect("/bus") as bus:
            subscribe = {"jsonrpc": "2.0", "id": 1, "method": "genome/subscribe", "params": {"after": 0}}
            await bus.send_json(subscribe)
            owners, seen = Owners(rig.journal), 0
            expected = [one for one in await rig.journal.read_all() if await owners.sees(ADA.personas, one.stream)]
            while seen < len(expected):
                message = await bus.receive(timeout=PATIENCE_S)
                assert message.type is WSMsgType.TEXT
                assert CANARY not in message.data
                assert "of eve" not in message.data
                seen += '"method"' in message.data


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"personaId": "ada"}, [("personaId", "ada")]),
        ({"personaId": None}, []),
        ({"participants": {"ada": {}, "bob": {}}}, [("participants", "ada"), ("participants", "bob")]),
        (
            {"configuration": {"datasets": {"trainingFileId": "ds"}, "model": {"baseModel": "m"}}},
            [("configuration.datasets.trainingFileId", "ds"), ("configuration.model.baseModel", "m")],
        ),
    ],
)
def test_what_a_request_names_is_found_wherever_it_stands(params: Json, named: list[tuple[str, str]]) -> None:
    found = [
        (claim.field, claim.name)
        for module in MODULES
        for claim in claims(plan_of(module.NAME, module.Params), params)
        if short(module.NAME) in ("job-create", "multi-agent-learn")
    ]
    assert sorted(set(found)) == sorted(set(named))


async def test_a_layer_of_another_persona_is_no_base_model(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig:
        eve = await world(rig, "eve", CANARY)
        state = await rig.journal.query("SELECT state FROM states WHERE stream = ?", (f"layer/{eve['layer']}",))
        location = msgspec.json.decode(str(state[0][0]))["published"]["artifact"]["location"]
        inside = f"{rig.data_dir}/layers/{eve['layer']}"
        said = {"personaId": "ada", "domain": "sums", "input": "1", "output": "2"}
        for model in (location, inside, f"/nowhere/../{inside}", "../layers/x", f"{rig.data_dir}"):
            refused = await rig.refused("capture-interaction", said | {"baseModel": model}, caller=ADA)
            assert (refused.kind, refused.field) == (ErrorKind.FORBIDDEN, "baseModel")
        reply = await rig.execute("capture-interaction", said | {"baseModel": "org/tiny"}, caller=ADA)
        assert isinstance(reply.result, msgspec.Raw)


OF_THE_HOUSE = {"spend", "budget", "token", "access", "daemon", "consent", "guard", "trace_source"}
"""Kinds of streams that nobody who is bound may follow."""


async def test_the_owner_of_every_stream_of_a_life_is_known(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        ada = await world(rig, "ada", "")
        await served(rig, ada["layer"])
        await rig.call("forget", {"sessionId": ada["session"], "personaId": "ada"})
        await rig.rule()
        await rig.refused("job-list", {}, caller=ADA)
        owners = Owners(rig.journal)
        streams = {one.stream for one in await rig.journal.read_all(limit=10_000)}
        kinds = {stream.partition("/")[0] for stream in streams}
        assert {"job", "genome", "deployment", "forget", "bucket", "item", "layer", "access"} <= kinds
        for stream in sorted(streams):
            expected = None if stream.partition("/")[0] in OF_THE_HOUSE else "ada"
            assert await owners.of_stream(stream) == expected, stream
            assert await owners.sees(frozenset({"bob"}), stream) is False
            assert await owners.sees(None, stream) is True
        for odd in ("", "/", "job", "job/", "genome/", "recipe_item/x:y", "nothing/of-it", "item/ada"):
            assert await owners.of_stream(odd) is None


async def test_totals_of_the_house_are_not_for_whoever_is_bound(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig, listening(rig) as client:
        made = await rig.call("token-create", {"personaIds": ["ada"], "role": "admin"})
        async with client.get("/metrics", headers={"Authorization": f"Bearer {made['token']}"}) as response:
            told = msgspec.json.decode(await response.read())
            assert (response.status, told["error"]["kind"]) == (403, "forbidden")
        async with client.get("/metrics") as response:
            assert response.status == 200
        [refused] = [one for one in await rig.journal.read_all() if one.type == "access.refused"]
        assert refused.actor == f"token:{made['tokenId']}"


async def test_a_key_of_the_house_goes_where_no_bound_caller_says(tmp_path: Path) -> None:
    given = {"secrets": {"allowed": ["env:WANDB"]}}
    async with running(tmp_path / "d", triggers=False, given=given) as rig:
        ada = await world(rig, "ada", "")
        reporting = {"apiKey": "env:WANDB", "project": "p", "baseUrl": "https://somewhere.example"}
        configuration = {
            "model": {"baseModel": "tiny"},
            "datasets": {"trainingFileId": ada["dataset"]},
            "method": {"type": "lora"},
            "integrations": {"wandb": reporting},
        }
        asked = {"personaId": "ada", "provider": "simulated", "configuration": configuration}
        for command in ("job-create", "job-validate"):
            refused = await rig.refused(command, asked, caller=ADA)
            assert (refused.kind, refused.field) == (ErrorKind.FORBIDDEN, "configuration.integrations.wandb.baseUrl")
