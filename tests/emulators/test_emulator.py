"""The emulators' foundation does each fault as it is asked to, once, and sees what breaks the published spec."""

from collections.abc import Sequence
from typing import ClassVar

import aiohttp
import anyio
import pytest
from tests.emulators.emulator import Call, Emulator, Refused, Reply, Route, serving
from tests.emulators.faults import FaultKind
from tests.emulators.published_spec import needs_specs

JOB = "2f1a3c1e-8e6a-4d0c-9a57-0d3a5d6f7b21"


class Small(Emulator):
    """One job and one list, in Mistral's words, since its published spec is at hand."""

    provider: ClassVar[str] = "mistral"

    def __init__(self) -> None:
        super().__init__()
        self.items = [1, 2, 3]
        self.started = 0
        self.arrived = anyio.Event()

    def routes(self) -> Sequence[Route]:
        return (
            Route(operation="list_files", method="GET", path="/v1/files", handler=self._list),
            Route(operation="start_job", method="POST", path="/v1/fine_tuning/jobs/{id}/start", handler=self._start),
            Route(operation="get_job", method="GET", path="/v1/fine_tuning/jobs/{id}", handler=self._job),
            Route(operation="download", method="GET", path="/signed", handler=self._signed, open=True),
        )

    async def _list(self, call: Call) -> object:
        return {"object": "list", "data": [], "total": sum(self._shown())}

    def _shown(self) -> list[int]:
        return self.listed("list_files", self.items, key=str)

    async def _start(self, call: Call) -> object:
        self.started += 1
        self.arrived.set()
        raise Refused(400, self.error_body(400, "not now"))

    async def _job(self, call: Call) -> object:
        return {"id": call.params["id"], "status": "RUNNING"}

    async def _signed(self, call: Call) -> object:
        return Reply(body=b"bytes", content_type="application/octet-stream")


async def asked(emulator: Emulator, path: str, *, method: str = "GET", key: str | None = None) -> tuple[int, object]:
    """Over a connection of its own, so that no client asks again by itself."""
    headers = {"Authorization": f"Bearer {key or emulator.api_key}"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(headers=headers, connector=connector) as session,
        session.request(method, emulator.base_url + path) as answer,
    ):
        body = await answer.read()
        return answer.status, await answer.json() if answer.content_type == "application/json" else body


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REQUEST, FaultKind.LOSE_REPLY])
async def test_a_lost_connection_is_a_lost_connection_and_only_a_lost_reply_did_something(kind: FaultKind) -> None:
    async with serving(Small()) as emulator:
        emulator.fault("start_job", kind)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await asked(emulator, f"/v1/fine_tuning/jobs/{JOB}/start", method="POST")
        assert emulator.started == (1 if kind is FaultKind.LOSE_REPLY else 0)
        assert emulator.faults.waiting == []
        assert (await asked(emulator, "/v1/files"))[0] == 200


async def test_a_truncated_answer_breaks_off_in_the_middle() -> None:
    async with serving(Small()) as emulator:
        emulator.fault("list_files", FaultKind.TRUNCATE)
        with pytest.raises(aiohttp.ClientPayloadError):
            await asked(emulator, "/v1/files")


async def test_a_status_fault_answers_without_doing_anything() -> None:
    async with serving(Small()) as emulator:
        emulator.fault("start_job", FaultKind.STATUS, code=429, retry_after="7", times=2)
        for _ in range(2):
            assert (await asked(emulator, f"/v1/fine_tuning/jobs/{JOB}/start", method="POST"))[0] == 429
        assert emulator.started == 0
        assert (await asked(emulator, f"/v1/fine_tuning/jobs/{JOB}/start", method="POST"))[0] == 400
        assert emulator.started == 1


async def test_a_late_answer_comes_after_a_client_has_gone() -> None:
    async with serving(Small()) as emulator:
        emulator.fault("start_job", FaultKind.LATE, seconds=30)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: asked(emulator, f"/v1/fine_tuning/jobs/{JOB}/start", method="POST"))
            await emulator.arrived.wait()
            tasks.cancel_scope.cancel()
        assert emulator.started == 1


@needs_specs
async def test_what_vanished_is_gone_with_all_that_is_below_it() -> None:
    async with serving(Small(), strict=False) as emulator:
        path = f"/v1/fine_tuning/jobs/{JOB}"
        assert (await asked(emulator, path))[0] == 200
        emulator.fault("get_job", FaultKind.VANISH)
        assert (await asked(emulator, path))[0] == 404
        assert (await asked(emulator, path))[0] == 404
        assert (await asked(emulator, f"{path}/start", method="POST"))[0] == 404
        assert (await asked(emulator, path.replace("2f1a", "3f1a")))[0] == 200
        assert any("the emulator's own answer" in violation for violation in emulator.violations)


async def test_a_status_word_is_replaced_once() -> None:
    async with serving(Small(), strict=False) as emulator:
        emulator.fault("get_job", FaultKind.WORD, word="PONDERING")
        words = [(await asked(emulator, f"/v1/fine_tuning/jobs/{JOB}"))[1] for _ in range(2)]
        assert [word["status"] for word in words if isinstance(word, dict)] == ["PONDERING", "RUNNING"]


async def test_lists_lag_repeat_and_turn_around() -> None:
    emulator = Small()
    emulator.faults.add("list_files", FaultKind.LAG, calls=2)
    assert emulator._shown() == []
    assert emulator._shown() == []
    assert emulator._shown() == [1, 2, 3]
    emulator.items.append(4)
    assert emulator._shown() == [1, 2, 3]
    emulator.faults.clear()
    emulator.faults.add("list_files", FaultKind.DUPLICATE)
    emulator.faults.add("list_files", FaultKind.REORDER)
    assert emulator._shown() == [4, 4, 3, 3, 2, 2, 1, 1]
    assert emulator._shown() == [1, 2, 3, 4]


async def test_a_wrong_key_is_refused_and_a_signed_address_needs_none() -> None:
    async with serving(Small()) as emulator:
        assert (await asked(emulator, "/v1/files", key="another"))[0] == 401
        assert await asked(emulator, "/signed", key="another") == (200, b"bytes")


@needs_specs
async def test_requests_that_break_the_published_spec_are_seen() -> None:
    emulator = Small()

    async def served() -> None:
        async with serving(emulator):
            await asked(emulator, "/v1/files?lmit=3")
            await asked(emulator, "/v2/files")

    with pytest.raises(AssertionError, match="lmit"):
        await served()
    assert [violation.split(": ")[1] for violation in emulator.violations] == [
        "unknown query key 'lmit'",
        "mistral publishes no such path",
    ]


async def test_an_emulator_comes_back_at_its_own_address() -> None:
    emulator = Small()
    async with serving(emulator):
        address = emulator.base_url
    with pytest.raises(aiohttp.ClientConnectorError):
        await asked(emulator, "/v1/files")
    async with serving(emulator):
        assert emulator.base_url == address
        assert (await asked(emulator, "/v1/files"))[0] == 200


def test_a_job_walks_its_words_and_stays_where_it_is_held() -> None:
    emulator = Small()
    walk = emulator.steps(("QUEUED", "RUNNING", "DONE"), working="RUNNING")
    emulator.hold()
    assert [walk.word, walk.step(), walk.step()] == ["QUEUED", "RUNNING", "RUNNING"]
    emulator.release()
    assert [walk.step(), walk.step()] == ["DONE", "DONE"]
    assert walk.ended
    endless = emulator.steps(("QUEUED", "RUNNING", "DONE"), working="RUNNING", endless=True)
    assert [endless.step() for _ in range(3)] == ["RUNNING"] * 3
    endless.go("STOPPING", "STOPPED")
    assert [endless.word, endless.step(), endless.step()] == ["STOPPING", "STOPPED", "STOPPED"]
