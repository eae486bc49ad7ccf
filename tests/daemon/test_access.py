"""Who is let in and as what: peers by uid and group, tokens, and sockets whose folder nobody else may write."""

import os
import socket
import stat
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from aiohttp import UnixConnector
from hypothesis import given
from hypothesis import strategies as st
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import Json, listening, running
from tests.daemon.somebody import NOBODY, asked, needs_root, told_to
from tests.daemon.test_tcp_door import listeners

from genomed.daemon.access.credentials import Credentials, Peer, bearer, caller_of, demand, peer_of
from genomed.daemon.access.gate import Gate
from genomed.daemon.access.refusals import Reason, Refused
from genomed.daemon.access.rules import RANK, access_problems, access_rules
from genomed.daemon.configuration.sections import Access, TcpAccess
from genomed.daemon.doors.unix_socket import bound_socket
from genomed.entities.errors import Conflict, Forbidden, InvalidRequest
from genomed.entities.types import Role

GID = 4242


def peer(uid: int, *gids: int) -> Peer:
    return Peer(uid=uid, gids=frozenset(gids))


def test_our_own_uid_and_root_are_admin_and_others_need_a_role() -> None:
    rules = access_rules(Access(roles={"7": Role.CAPTURE}))
    assert caller_of(peer(os.getuid()), rules).role is Role.ADMIN
    assert caller_of(peer(0), rules).role is Role.ADMIN
    assert (caller_of(peer(7), rules).actor, caller_of(peer(7), rules).role) == ("uid:7", Role.CAPTURE)
    with pytest.raises(Forbidden, match="uid 8 has no role"):
        caller_of(peer(8), rules)
    demand(caller_of(peer(7), rules), Role.READ, "reading")
    with pytest.raises(Refused) as refused:
        demand(caller_of(peer(7), rules), Role.OPERATE, "spending")
    assert refused.value.reason is Reason.ROLE


def test_of_uid_and_groups_the_highest_role_counts() -> None:
    access = Access(roles={"7": Role.READ}, groups={str(GID): Role.OPERATE, "11": Role.CAPTURE})
    rules = access_rules(access)
    assert caller_of(peer(7), rules).role is Role.READ
    assert caller_of(peer(7, 11), rules).role is Role.CAPTURE
    assert caller_of(peer(7, 11, GID), rules).role is Role.OPERATE
    assert caller_of(peer(9, GID), rules).role is Role.OPERATE


def test_whom_one_may_act_for_is_all_that_uid_and_groups_name_and_everybody_where_nothing_is_named() -> None:
    rules = access_rules(
        Access(
            groups={str(GID): Role.CAPTURE, "11": Role.CAPTURE},
            personas={"7": ("ada",), f"group:{GID}": ("bob", "cy")},
        )
    )
    assert caller_of(peer(7, 11), rules).personas == frozenset({"ada"})
    assert caller_of(peer(7, GID), rules).personas == frozenset({"ada", "bob", "cy"})
    assert caller_of(peer(8, 11), rules).personas is None
    assert caller_of(peer(0, GID), rules).personas is None, "root is bound to nobody"


def test_the_daemons_own_uid_can_be_lowered_and_root_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert caller_of(peer(1000), access_rules(Access(own_uid="capture"))).role is Role.CAPTURE
    with pytest.raises(Forbidden):
        caller_of(peer(1000), access_rules(Access(own_uid="none")))
    assert caller_of(peer(1000), access_rules(Access(own_uid="none", roles={"1000": Role.READ}))).role is Role.READ
    assert caller_of(peer(0), access_rules(Access(own_uid="none"))).role is Role.ADMIN


def test_a_peer_whose_groups_cannot_be_read_is_refused_where_groups_decide() -> None:
    unread = Peer(uid=7, gids=None)
    assert caller_of(unread, access_rules(Access(roles={"7": Role.READ}))).role is Role.READ
    with pytest.raises(Forbidden, match="groups"):
        caller_of(unread, access_rules(Access(roles={"7": Role.READ}, personas={f"group:{GID}": ("ada",)})))


@given(
    uid=st.integers(1, 5),
    gids=st.frozensets(st.integers(10, 13)),
    roles=st.dictionaries(st.integers(1, 5).map(str), st.sampled_from(Role)),
    groups=st.dictionaries(st.integers(10, 13).map(str), st.sampled_from(Role)),
)
def test_a_role_is_never_more_than_the_highest_that_somebody_gave(
    uid: int, gids: frozenset[int], roles: dict[str, Role], groups: dict[str, Role]
) -> None:
    given_roles = [role for name, role in roles.items() if int(name) == uid]
    given_roles += [role for name, role in groups.items() if int(name) in gids]
    rules = access_rules(Access(roles=roles, groups=groups, own_uid="none"))
    try:
        found = caller_of(Peer(uid=uid, gids=gids), rules).role
    except Forbidden:
        assert given_roles == []
    else:
        assert found is max(given_roles, key=RANK.__getitem__)


def test_every_problem_of_the_section_is_told_at_once_with_its_field() -> None:
    wrong = Access(
        roles={"ada": Role.READ},
        groups={"no-such-group-here": Role.READ},
        personas={"-1": ("ada",), "group:no-such-group-here": ("",), "7": ("",)},
        socket_group="no-such-group-here",
        tcp=TcpAccess(port=1, token="env:T", host="0.0.0.0", hosts=("https://x",), origins=("desk.example/",)),
    )
    fields = {problem.field for problem in access_problems(wrong)}
    assert fields == {
        "access.roles.ada",
        "access.groups.no-such-group-here",
        "access.personas.-1",
        "access.personas.group:no-such-group-here",
        "access.personas.7",
        "access.socket_group",
        "access.tcp.host",
        "access.tcp.hosts[0]",
        "access.tcp.origins[0]",
    }
    assert all(problem.remedy for problem in access_problems(wrong))
    with pytest.raises(InvalidRequest):
        access_rules(wrong)
    forced = TcpAccess(port=1, token="env:T", host="0.0.0.0", force=True)
    assert access_problems(Access(tcp=forced)) == []


def test_the_peer_is_who_the_kernel_says() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        found = peer_of(left, groups=True)
        assert (found.uid, found.gids) == (os.getuid(), frozenset((os.getgid(), *os.getgroups())))
        assert peer_of(left, groups=False).gids is None


def test_a_header_of_another_form_is_a_token_that_nobody_has_and_never_none() -> None:
    assert bearer(None) is None
    assert bearer("Bearer gnt_x") == bearer("bearer  gnt_x ") == "gnt_x"
    assert bearer("Basic YWRhOg==") == "Basic YWRhOg=="
    assert bearer("Bearer ") == ""


def test_a_folder_that_others_may_write_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for mode in (0o770, 0o707, 0o1777):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        with pytest.raises(Conflict, match="others may write") as refused:
            bound_socket(folder / "s")
        assert refused.value.remedy is not None
        assert "chmod go-w" in refused.value.remedy
        assert list(folder.iterdir()) == []


@needs_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(Conflict, match="belongs to uid"):
        bound_socket(tmp_path / "s")


def test_a_socket_for_a_group_is_0660_in_a_0750_folder_and_one_for_nobody_else_0600_in_0700(tmp_path: Path) -> None:
    own = os.getgid()
    for group, modes in ((None, (0o700, 0o600)), (str(own), (0o750, 0o660))):
        path = tmp_path / str(group) / "s"
        with bound_socket(path, group=group):
            assert tuple(stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)) == modes
            assert path.stat().st_gid == own


def test_a_folder_that_the_group_cannot_enter_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    with pytest.raises(Conflict, match="cannot enter") as refused:
        bound_socket(folder / "s", group=str(os.getgid()))
    assert refused.value.remedy is not None
    assert "chmod 750" in refused.value.remedy
    assert refused.value.field == "access.socket_group"


async def test_other_rules_hold_from_the_next_request_on_and_those_that_make_no_sense_change_nothing(
    tmp_path: Path,
) -> None:
    now = [Access(roles={"7": Role.READ})]
    async with running(tmp_path / "d", courier=False, triggers=False, forgetter=False) as rig:
        gate = Gate(rig.journal, access=lambda: now[0])
        shown = Credentials(peer=peer(7))
        assert (await gate.caller(shown, command="x")).role is Role.READ
        now[0] = Access(roles={"7": Role.OPERATE}, personas={"7": ("ada",)})
        caller = await gate.caller(shown, command="x")
        assert (caller.role, caller.personas) == (Role.OPERATE, frozenset({"ada"}))
        now[0] = Access(groups={"no-such-group-here": Role.ADMIN})
        assert (await gate.caller(shown, command="x")).role is Role.OPERATE
        now[0] = Access()
        with pytest.raises(Forbidden):
            await gate.caller(shown, command="x")
        assert [one.type for one in await rig.journal.read_all()] == ["access.refused"]


@needs_root
async def test_agents_under_the_daemons_own_uid_hold_tokens_once_that_uid_alone_may_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    given: Json = {"access": {"own_uid": "none"}}
    async with running(tmp_path / "d", given=given, triggers=False) as rig, listening(rig, group=str(GID)) as client:
        made = [await rig.call("token-create", {"personaIds": [persona]}) for persona in ("ada", "bob")]
        wishes = [
            asked("capture-interaction", SAID, token=token) for token in (None, made[0]["token"], made[1]["token"])
        ]
        assert isinstance(client.connector, UnixConnector)
        path = client.connector.path
        answers = await anyio.to_thread.run_sync(lambda: told_to(path, wishes, uid=NOBODY, groups=[GID]))
        assert [status for status, _ in answers] == [403, 200, 403], answers
        told = [(one.type, one.actor) for one in (await rig.journal.read_all())[2:]]
    assert told == [
        ("access.refused", f"uid:{NOBODY}"),
        ("interaction.captured", f"token:{made[0]['tokenId']}"),
        ("access.refused", f"token:{made[1]['tokenId']}"),
    ]


CONFIGURATION = f"""
[access]
socket_group = "{GID}"
personas = {{ "1002" = ["ada"] }}
[access.roles]
1001 = "read"
1002 = "capture"
[access.groups]
{GID} = "capture"
[learning]
base_model = "tiny"
"""

SAID = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}


@needs_root
@pytest.mark.crash
def test_other_users_get_in_by_the_group_and_may_do_what_uid_and_groups_say_and_each_refusal_is_an_event() -> None:
    with daemon_process(configuration=CONFIGURATION) as daemon:
        assert daemon.process is not None
        assert listeners(daemon.process.pid) == set(), "TCP is off by default"
        daemon.folder.chmod(0o711)
        capture, listing, bob = (
            asked("capture-interaction", SAID),
            asked("bucket-status"),
            asked("capture-interaction", SAID | {"personaId": "bob"}),
        )
        assert told_to(daemon.socket, [listing], uid=NOBODY) == [(0, "Permission denied")]
        [(status, said)] = told_to(daemon.socket, [capture], uid=1001, groups=[GID])
        assert status == 200, said
        # Through the group the socket opens and the role follows from it; the gid itself counts as the others do.
        [(status, said), (refused, why)] = told_to(daemon.socket, [capture, asked("doctor")], uid=1003, gid=GID)
        assert (status, refused) == (200, 200), (said, why)
        [(one, _), (other, why), (spend, _)] = told_to(
            daemon.socket, [capture, bob, asked("budget-set", {"budget": None})], uid=1002, groups=[GID]
        )
        assert (one, other, spend) == (200, 403, 403)
        assert why["error"]["remedy"]
        refusals = daemon.call("access-list")["refusals"]
        assert [(one["actor"], one["command"], one["reason"]) for one in refusals] == [
            ("uid:1002", "genome/budget-set", "role"),
            ("uid:1002", "genome/capture-interaction", "persona"),
        ]
        actors = {event["actor"] for event in daemon.events() if event["type"] == "interaction.captured"}
        assert actors == {"uid:1001", "uid:1002", "uid:1003"}
