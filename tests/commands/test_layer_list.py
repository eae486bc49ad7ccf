"""layer-list shows layers, newest first, and which are in use."""

from tests.daemon.daemon_rig import Rig


async def test_only_one_layer_of_a_place_is_active_and_the_list_says_which(rig: Rig) -> None:
    made = [(await rig.ended(await rig.create_job())).layer_id for _ in range(3)]
    listed = await rig.call("layer-list")
    assert [one["layerId"] for one in listed["layers"]] == made[::-1]
    assert [one["active"] for one in listed["layers"]] == [True, False, False]
    [active] = (await rig.call("layer-list", {"active": True}))["layers"]
    assert active["layerId"] == made[-1]
    first = await rig.call("layer-list", {"active": False, "limit": 1})
    rest = await rig.call("layer-list", {"active": False, "limit": 1, "cursor": first["nextCursor"]})
    assert [one["layerId"] for one in first["layers"] + rest["layers"]] == made[1::-1]


async def test_persona_domain_and_base_model_narrow(rig: Rig) -> None:
    await rig.ended(await rig.create_job())
    bobs = await rig.ended(await rig.create_job(personaId="bob", domain="songs"))
    for chosen in ({"personaId": "bob"}, {"domain": "songs"}, {"baseModel": "tiny", "personaId": "bob"}):
        assert [one["layerId"] for one in (await rig.call("layer-list", chosen))["layers"]] == [bobs.layer_id]
    assert (await rig.call("layer-list", {"baseModel": "other"}))["layers"] == []
    assert (await rig.refused("layer-list", {"cursor": "9" * 40})).field == "cursor"
