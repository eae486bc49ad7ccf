"""The door on TCP: shut by default, and for nobody without a token, our name, a page of ours and JSON."""

import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from tests.daemon.daemon_process import daemon_process
from tests.daemon.daemon_rig import Json, Rig, running
from tests.patience import PATIENCE_S

from genomed.daemon.configuration.sections import Access, TcpAccess
from genomed.daemon.doors.application import doors
from genomed.daemon.doors.tcp_door import tcp_socket
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.errors import Conflict, GenomeError, InvalidRequest

SAID: Json = {"personaId": "ada", "domain": "sums", "input": "1+1", "output": "2"}
NOT_REACHED = 1
"""A port where what is tested never comes to bind one."""
DESK = "https://desk.example"


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given: bound without listening, as one that a listener with SO_REUSEADDR may share."""
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield int(holding.getsockname()[1])


@asynccontextmanager
async def open_to_tcp(tmp_path: Path, **more: object) -> AsyncIterator[tuple[Rig, ClientSession, str]]:
    """A rig behind its door on TCP, a client of it that shows nothing, and the administrator's token."""
    file = tmp_path / "tcp.token"
    tcp: Json = {"token": f"file:{file}", "hosts": ["genome.example"], "origins": [DESK]} | more
    secrets = SecretStore()
    async with AsyncExitStack() as stack:
        access: Json = {"tcp": tcp | {"port": stack.enter_context(held_port())}}
        rig = await stack.enter_async_context(running(tmp_path / "d", given={"access": access}, triggers=False))
        section = rig.settings.access.tcp
        assert section is not None
        stopping = anyio.Event()
        application = doors(rig.settings, rig.journal, rig.parts.dispatch, stopping, secrets=secrets)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.SockSite(runner, await tcp_socket(section, secrets)).start()
            async with aiohttp.ClientSession(f"http://127.0.0.1:{section.port}") as client:
                yield rig, client, file.read_text().strip()
        finally:
            stopping.set()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


def shown(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}


async def test_the_administrators_token_is_made_0600_and_lets_in_and_nothing_else_does(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (rig, client, token):
        assert stat.S_IMODE((tmp_path / "tcp.token").stat().st_mode) == 0o600
        for path in ("/healthz", "/events?follow=false", "/bus", "/nowhere"):
            async with client.get(path) as response:
                assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer"), path
        async with client.get("/healthz", headers=shown(token)) as response:
            assert response.status == 200
        async with client.post("/genome/capture-interaction", json=SAID, headers=shown(token)) as response:
            assert response.status == 200
        for bad in (token[:-1], token + "x", ""):
            async with client.post("/genome/capture-interaction", json=SAID, headers=shown(bad)) as response:
                assert response.status == 401
        written = {(one.type, one.actor) for one in await rig.journal.read_all()}
        assert written == {("interaction.captured", "tcp:admin"), ("access.refused", "tcp:127.0.0.1")}
        wanted = {one["command"] for one in (await rig.call("access-list"))["refusals"]}
        assert wanted == {"healthz", "events", "bus", "unknown", "genome/capture-interaction"}


async def test_only_our_names_lead_here(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (rig, client, token):
        for host, status in (
            ("127.0.0.1", 200),
            ("localhost:1234", 200),
            ("LOCALHOST", 200),
            ("[::1]:80", 200),
            ("genome.example:443", 200),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:80", 421),
            ("genome.example.evil", 421),
            ("", 421),
        ):
            async with client.get("/healthz", headers=shown(token, Host=host)) as response:
                assert response.status == status, host
        assert [one["reason"] for one in (await rig.call("access-list"))["refusals"]] == ["host"]


async def raw_status(port: int, *lines: str) -> int:
    """Of the first answer to exactly these lines; 0 where the connection ends without one."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send("".join(f"{line}\r\n" for line in (*lines, "", "")).encode())
        with anyio.fail_after(PATIENCE_S):
            try:
                answer = await stream.receive()
            except anyio.EndOfStream:
                return 0
    return int(answer.split()[1])


async def test_no_odd_form_of_a_request_leads_here_either(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (rig, _, token):
        tcp = rig.settings.access.tcp
        assert tcp is not None
        host, known = "Host: 127.0.0.1", f"Authorization: Bearer {token}"
        assert await raw_status(tcp.port, "GET /healthz HTTP/1.1", host, known) == 200
        odd: tuple[tuple[str, ...], ...] = (
            ("GET http://evil.example/healthz HTTP/1.1", host, known),
            ("GET http://127.0.0.1/healthz HTTP/1.1", "Host: evil.example", known),
            ("GET /healthz HTTP/1.0", known),
            ("GET /healthz HTTP/1.1", known),
            ("GET /healthz HTTP/1.1", host, "Host: evil.example", known),
            ("GET /healthz HTTP/1.1", "Host: 127.0.0.1.", known),
            ("GET /healthz HTTP/1.1", "Host: [::1].evil.example", known),
            ("GET /healthz HTTP/1.1", "Host: localhost:80.evil.example", known),
            ("GET /healthz HTTP/1.1", "Host: someone@127.0.0.1", known),
            ("GET /healthz HTTP/1.1", "Host: 127.0.0.1, evil.example", known),
            ("GET /healthz HTTP/1.1", host, "Origin: null", known),
            ("GET /healthz HTTP/1.1", host, f"Origin: {DESK}", "Origin: null", known),
            ("GET /healthz HTTP/1.1", host, f"Origin: {DESK}/", known),
            ("GET /healthz HTTP/1.1", host, "Authorization: Bearer", known),
            ("GET /healthz HTTP/1.1", host, f"Cookie: Authorization=Bearer {token}"),
            (f"GET /healthz?access_token={token} HTTP/1.1", host),
            ("OPTIONS * HTTP/1.1", host, known),
            ("CONNECT 127.0.0.1:1 HTTP/1.1", host, known),
        )
        for lines in odd:
            assert await raw_status(tcp.port, *lines) in (0, 400, 401, 403, 404, 421), lines
        post = ("POST /genome/help HTTP/1.1", host, known, "Content-Length: 2")
        for kind in ("text/plain", "text/plain; application/json", "application/jsonp", "", "multipart/form-data"):
            assert await raw_status(tcp.port, *post, f"Content-Type: {kind}") == 415, kind


async def test_pages_that_were_not_named_may_not_call_nor_open_a_bus(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (_, client, token):
        for origin, status in ((DESK, 200), ("https://evil.example", 403), ("null", 403), (DESK + ".evil", 403)):
            async with client.get("/healthz", headers=shown(token, Origin=origin)) as response:
                assert response.status == status, origin
                assert not any(name.lower().startswith("access-control") for name in response.headers)
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/bus", headers=shown(token, Origin="https://evil.example"))
        assert refused.value.status == 403
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/bus", headers={"Origin": DESK})
        assert refused.value.status == 401
        async with client.ws_connect("/bus", headers=shown(token, Origin=DESK)) as bus:
            await bus.send_json({"jsonrpc": "2.0", "id": 1, "method": "genome/overview"})
            assert "result" in await bus.receive_json(timeout=PATIENCE_S)


async def test_a_preflight_invites_nobody(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (_, client, _):
        headers = {"Origin": DESK, "Access-Control-Request-Method": "POST"}
        async with client.options("/genome/overview", headers=headers) as response:
            assert response.status == 401
            assert not any(name.lower().startswith("access-control") for name in response.headers)


async def test_what_a_form_can_send_is_no_request(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (_, client, token):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = shown(token, Content_Type=kind)
            async with client.post("/genome/overview", data=b"{}", headers=headers) as response:
                assert response.status == 415, kind
        json = shown(token, Content_Type="application/json; charset=utf-8")
        async with client.post("/genome/overview", data=b"{}", headers=json) as response:
            assert response.status == 200


async def test_a_personas_token_gets_what_it_gets_elsewhere_and_loses_it_at_once(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (rig, client, _):
        made = await rig.call("token-create", {"personaIds": ["ada"]})
        for persona, status in (("ada", 200), ("bob", 403)):
            params = SAID | {"personaId": persona}
            async with client.post(
                "/genome/capture-interaction", json=params, headers=shown(made["token"])
            ) as response:
                assert response.status == status
        await rig.call("token-revoke", {"tokenId": made["tokenId"]})
        async with client.get("/healthz", headers=shown(made["token"])) as response:
            assert response.status == 401


async def test_another_token_in_the_file_holds_at_once(tmp_path: Path) -> None:
    async with open_to_tcp(tmp_path) as (_, client, token):
        (tmp_path / "tcp.token").write_text("n" * 40)
        for text, status in ((token, 401), ("n" * 40, 200)):
            async with client.get("/healthz", headers=shown(text)) as response:
                assert response.status == status
        (tmp_path / "tcp.token").chmod(0o644)
        async with client.get("/healthz", headers=shown("n" * 40)) as response:
            assert response.status == 424


async def test_a_token_that_can_be_guessed_or_read_by_others_opens_no_door(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text("short")
    file.chmod(0o600)
    section = TcpAccess(port=NOT_REACHED, token=f"file:{file}")
    with pytest.raises(InvalidRequest, match="fewer than"):
        await tcp_socket(section, SecretStore())
    file.write_text("x" * 40)
    file.chmod(0o644)
    with pytest.raises(GenomeError, match="others may touch it"):
        await tcp_socket(section, SecretStore())


async def test_a_port_in_use_is_told_with_its_field(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        section = TcpAccess(port=taken.getsockname()[1], token=f"file:{tmp_path / 't'}")
        with pytest.raises(Conflict, match="cannot listen") as refused:
            await tcp_socket(section, SecretStore())
    assert refused.value.field == "access.tcp.port"


async def test_a_socket_that_was_handed_over_is_refused_where_other_machines_reach_it(tmp_path: Path) -> None:
    section = TcpAccess(port=NOT_REACHED, token=f"file:{tmp_path / 't'}")
    with socket.socket() as handed:
        handed.bind(("0.0.0.0", 0))
        with pytest.raises(Conflict, match="other machines"):
            await tcp_socket(section, SecretStore(), handed=handed)


async def test_without_the_section_a_connection_over_tcp_gets_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        runner = web.AppRunner(doors(rig.settings, rig.journal, rig.parts.dispatch, anyio.Event()), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                async with client.get("/healthz") as response:
                    assert response.status == 403
                async with client.post("/genome/overview", json={}) as response:
                    assert response.status == 403
        finally:
            await runner.cleanup()


def listeners(pid: int) -> set[int]:
    """Ports on which a process waits for TCP connections."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile: what listens stays
            name = str(entry.readlink())
            if name.startswith("socket:["):
                inodes.add(name[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in inodes:
                found.add(int(cells[1].rpartition(":")[2], 16))
    return found


@pytest.mark.crash
def test_a_daemon_opens_the_door_that_is_configured_and_by_default_none(tmp_path: Path) -> None:
    assert Access().tcp is None
    with (
        held_port() as port,
        daemon_process(configuration=f'[access.tcp]\nport = {port}\ntoken = "file:{tmp_path / "token"}"\n') as daemon,
    ):
        assert daemon.process is not None
        assert listeners(daemon.process.pid) == {port}
        assert daemon.health()["ok"] is True
