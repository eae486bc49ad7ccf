"""Traces of a real Phoenix server: recorded with its own tooling, imported by a whole daemon, and never twice."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread
from tests.adapters.phoenix_house import House, load_its_tooling, missing, phoenix_house
from tests.commands.importing import captured, importing, words
from tests.daemon.daemon_rig import Json, Rig
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())}"),
]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    load_its_tooling()
    with phoenix_house(tmp_path_factory.mktemp("phoenix")) as house:
        yield house


def answer(n: int, **more: Any) -> Json:
    return {
        "name": "answer",
        "kind": "llm",
        "llm.model_name": "tiny",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": f"{n}+{n}",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": f"{2 * n}",
        "session.id": "chat-1",
        "user.id": "eve",
        **more,
    }


SEARCH: Json = {
    "name": "search",
    "kind": "retriever",
    "input.value": "red cars",
    "retrieval.documents.0.document.id": "d0",
    "retrieval.documents.0.document.content": "a red car",
    "retrieval.documents.0.document.score": 0.9,
    "retrieval.documents.1.document.id": "d1",
    "retrieval.documents.1.document.content": "a blue car",
}


async def recorded(house: House, project: str, spans: list[Json]) -> list[str]:
    """Their ids, once the server has them all."""
    before = await to_thread.run_sync(house.seen, project)
    made = await to_thread.run_sync(house.record, project, spans)
    with anyio.fail_after(PATIENCE_S):
        while await to_thread.run_sync(house.seen, project) < before + len(spans):
            await anyio.lowlevel.checkpoint()
    return made


async def annotated(house: House, span_id: str, name: str, **given: Any) -> None:
    await to_thread.run_sync(lambda: house.annotate(span_id, name, **given))


@asynccontextmanager
async def reading(house: House, root: Path, project: str, **more: object) -> AsyncIterator[Rig]:
    source = {"kind": "phoenix", "url": house.url, "project": project, "persona_id": "ada", "domain": "sums"}
    async with importing(root, given={"traces": {"main": source | more}}) as rig:
        yield rig


async def brought(rig: Rig, **more: object) -> Json:
    return await rig.call("trace-import", {"source": "main", **more})


async def test_spans_and_annotations_of_a_live_server_come_in_once(house: House, tmp_path: Path) -> None:
    one, two, three = await recorded(house, "once", [answer(1), answer(2), SEARCH])
    await annotated(house, one, "quality", label="approved", score=0.9)
    await annotated(house, two, "quality", label="rejected", score=0.9, metadata={"edited_response": "four"})
    await annotated(house, three, "result_click", score=1, metadata={"result_id": "d0"})
    async with reading(house, tmp_path, "once") as rig:
        first = await brought(rig)
        assert (first["spans"], first["interactions"], first["feedback"], first["skipped"]) == (3, 3, 3, {})
        found = {state.feedback[0].kind.value: state for _, state in await captured(rig)}
        assert (found["approval"].approved, found["approval"].person_id) == (True, "eve")
        assert (found["correction"].paired, found["correction"].session_id) == (True, "chat-1")
        assert (found["boolean"].searched, found["boolean"].feedback[0].result_id) == (True, "d0")
        assert (await words(rig, found["approval"]))["input"] == [{"role": "user", "content": "1+1"}]

        again = await brought(rig)
        assert (again["interactions"], again["feedback"], again["known"], again["changed"]) == (0, 0, 3, 0)
        head = rig.journal.head()
        await brought(rig)
        assert rig.journal.head() == head

        await annotated(house, one, "review", label="rejected")
        late = await brought(rig)
        assert (late["interactions"], late["feedback"]) == (0, 1)


async def test_many_spans_come_in_pages_and_new_ones_after_them(house: House, tmp_path: Path) -> None:
    await recorded(house, "pages", [answer(n) for n in range(7)])
    async with reading(house, tmp_path, "pages") as rig:
        pages = [await brought(rig, limit=3) for _ in range(3)]
        assert [(one["spans"], one["more"]) for one in pages] == [(3, True), (3, True), (1, False)]
        await recorded(house, "pages", [answer(7)])
        assert (await brought(rig))["interactions"] == 1
        assert len(await captured(rig)) == 8


async def test_without_an_overlap_only_what_is_new_is_read_again(house: House, tmp_path: Path) -> None:
    await recorded(house, "overlap", [answer(n) for n in range(4)])
    async with reading(house, tmp_path, "overlap", overlap_s=0) as rig:
        assert (await brought(rig))["spans"] == 4
        assert (await brought(rig))["spans"] == 1


async def test_a_span_that_arrives_late_is_found_however_old_it_says_it_is(house: House, tmp_path: Path) -> None:
    await recorded(house, "late", [answer(1), answer(2)])
    async with reading(house, tmp_path, "late", overlap_s=60) as rig:
        assert (await brought(rig))["interactions"] == 2
        old = answer(3, start_time=1_700_000_000_000_000_000)
        own, _ = await recorded(house, "late", [old, answer(4)])
        assert (await brought(rig, limit=2))["more"]
        assert (await brought(rig))["interactions"] == 1
        assert len(await captured(rig)) == 4
        await annotated(house, own, "quality", label="approved")
        assert (await brought(rig))["feedback"] == 0  # it started long before what is looked at again


async def test_a_verdict_that_a_person_changes_in_place_arrives(house: House, tmp_path: Path) -> None:
    [own] = await recorded(house, "changed", [answer(1)])
    await annotated(house, own, "quality", label="approved")
    async with reading(house, tmp_path, "changed") as rig:
        assert (await brought(rig))["feedback"] == 1
        await annotated(house, own, "quality", label="rejected")
        assert (await brought(rig))["feedback"] == 1
        [(_, state)] = await captured(rig)
        assert (state.rejected, len(state.feedback)) == (True, 1)
        await annotated(house, own, "quality", label="rejected")
        assert (await brought(rig))["feedback"] == 0


async def test_an_unknown_project_and_a_server_that_is_gone_are_told_apart(house: House, tmp_path: Path) -> None:
    async with reading(house, tmp_path / "a", "nobody") as rig:
        error = await rig.refused("trace-import", {"source": "main"})
        assert (error.kind.value, "nobody" in error.message) == ("not_found", True)
    async with reading(House("http://127.0.0.1:9"), tmp_path / "b", "once") as rig:
        error = await rig.refused("trace-import", {"source": "main"})
        assert (error.kind.value, error.retryable) == ("transient", True)


class _OlderPhoenix(BaseHTTPRequestHandler):
    """Passes over what it is asked for, and tells its newest span first."""

    def do_GET(self) -> None:
        spans = [{"id": b64encode(f"Span:{n}".encode()).decode()} for n in (2, 1)]
        body = json.dumps({"data": spans, "next_cursor": None}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


@pytest.mark.usefixtures("house")  # its tooling is loaded without its warnings
async def test_a_server_that_cannot_tell_the_order_of_arrival_is_refused(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OlderPhoenix) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        async with reading(House(f"http://127.0.0.1:{server.server_port}"), tmp_path, "once") as rig:
            error = await rig.refused("trace-import", {"source": "main"})
        await to_thread.run_sync(server.shutdown)
    assert (error.kind.value, error.remedy) == ("unsupported", "update that server")


async def test_a_judgement_of_the_session_itself_reaches_all_of_it(house: House, tmp_path: Path) -> None:
    agent = {"name": "agent", "kind": "agent", "input.value": "q", "output.value": "a", "session.id": "chat-9"}
    told = {"session.id": "chat-9"}
    await recorded(house, "sessions", [answer(1, **told), agent, answer(2, **told)])
    await to_thread.run_sync(lambda: house.annotate_session("chat-9", "outcome", label="success", score=0.8))
    async with reading(house, tmp_path, "sessions") as rig:
        first = await brought(rig)
        assert (first["interactions"], first["feedback"], first["skipped"]) == (2, 2, {"kind_not_asked": 1})
        assert [state.outcome for _, state in await captured(rig)] == [0.8, 0.8]
        assert (await brought(rig))["feedback"] == 0


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # the client's, of its own use of pandas
@pytest.mark.parametrize("form", ["exported", "framed"])
async def test_what_the_client_exports_reads_as_the_server_itself(house: House, tmp_path: Path, form: str) -> None:
    project = f"export-{form}"
    one, two = await recorded(house, project, [answer(1), SEARCH])
    await annotated(house, one, "quality", score=0.3, explanation="meagre")
    await annotated(house, two, "result_relevance", score=0.8, metadata={"document_id": "d1"}, identifier="d1")
    path = tmp_path / "export.jsonl"
    await to_thread.run_sync(getattr(house, form), project, path)
    async with reading(house, tmp_path, project) as rig:
        params = {"kind": "phoenix_export", "path": str(path), "personaId": "ada", "domain": "sums"}
        exported = await rig.call("trace-import", params)
        live = await brought(rig)
        counts = ("spans", "interactions", "feedback", "skipped")
        assert {name: exported[name] for name in counts} == {name: live[name] for name in counts}
        # The data frame's JSON cuts times to milliseconds, and the context tells how long it took.
        said = [(await words(rig, state)) | {"salt": "", "context": {}} for _, state in await captured(rig)]
        told = [[(one.kind, one.mark, one.result_id) for one in state.feedback] for _, state in await captured(rig)]
        assert (live["interactions"], live["feedback"]) == (2, 2)
        assert sorted(map(str, said[:2])) == sorted(map(str, said[2:]))
        assert sorted(map(str, told[:2])) == sorted(map(str, told[2:]))
