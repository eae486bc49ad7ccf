"""The daemon's own parts, wired by its own composition root over a real journal, for tests in one process.

Courier and triggers run unless a test asks for silence. The clock is the wall's plus what a test adds to it.
"""

import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import anyio
import msgspec
from aiohttp import web
from tests.patience import PATIENCE_S

from genomed.adapters.simulated.remote import RemoteJob
from genomed.commands.context import Caller
from genomed.daemon.assembly import Parts, assembled, new_event_id, new_id
from genomed.daemon.configuration.live_settings import LiveSettings
from genomed.daemon.configuration.reloading import reload
from genomed.daemon.configuration.settings import Loaded, Settings
from genomed.daemon.configuration.sources import Source
from genomed.daemon.dispatch import Reply
from genomed.daemon.doors.application import doors
from genomed.daemon.doors.unix_socket import bound_socket
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.daemon.read_models import GenomeReadModels
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.ids import submission_key
from genomed.entities.job import Job
from genomed.entities.recipe_shelf import RecipeShelf
from genomed.entities.types import Role

ADMIN = Caller(actor="uid:1000", role=Role.ADMIN)
Json = dict[str, Any]
E = TypeVar("E", bound=msgspec.Struct)
SELDOM: Json = {"courier": {"poll_s": {"simulated": 3600}}}
"""A simulated job then stands still, but for a step whenever somebody asks something of it."""
OFTEN: Json = {"courier": {"poll_s": {"simulated": 0.01}}}


class Clock:
    def __init__(self) -> None:
        self.ahead_us = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us


class Rig:
    """What tests do with the parts. Results are JSON as a door would send it.

    busy: others than the callers write to the log too, of their own accord.
    """

    def __init__(self, data_dir: Path, journal: Journal, parts: Parts, settings: Settings, clock: Clock) -> None:
        self.data_dir, self.journal, self.parts, self.settings, self.clock = data_dir, journal, parts, settings, clock
        self.live = LiveSettings(settings)
        self.busy = True

    async def execute(
        self, name: str, params: object = None, *, key: str | None = None, caller: Caller = ADMIN
    ) -> Reply:
        full = name if name.startswith("genome/") else f"genome/{name}"
        return await self.parts.dispatch.execute(full, params, caller=caller, key=key)

    async def call(self, name: str, params: object = None, *, key: str | None = None) -> Json:
        """The result of a command that must succeed."""
        reply = await self.execute(name, params, key=key)
        assert isinstance(reply.error, msgspec.UnsetType), reply.error
        assert isinstance(reply.result, msgspec.Raw)
        result: Json = msgspec.json.decode(reply.result)
        return result

    async def refused(self, name: str, params: object = None, *, caller: Caller = ADMIN) -> ErrorBody:
        """The error of a command that must be refused and must leave the log as it was, but for the refusal itself.

        Where a courier or triggers run, what they write meanwhile is their own affair.
        """
        before = self.journal.head()
        reply = await self.execute(name, params, caller=caller)
        assert isinstance(reply.error, ErrorBody), reply.result
        written = await self.journal.read_all(after=before.position)
        if self.busy:
            written = [one for one in written if one.actor == caller.actor]
        if reply.error.kind is ErrorKind.FORBIDDEN:
            written = [one for one in written if one.type != "access.refused"]
        elif not self.busy:
            assert reply.head == before
        assert written == [], "a refused command wrote something"
        return reply.error

    async def until(self, wanted: Callable[[], Awaitable[bool]], what: str = "the condition") -> None:
        """Looks again after every event; the bound is generous."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                position = self.journal.head().position
                if await wanted():
                    return
                with anyio.move_on_after(0.05):
                    await self.journal.wait_beyond(position)
        recent = await self.journal.read_all(after=max(0, self.journal.head().position - 25))
        raise AssertionError(f"{what} did not come; last events: {[(e.stream, e.type) for e in recent]}")

    async def job(self, job_id: str) -> Job:
        state = (await self.journal.load(f"job/{job_id}")).state
        assert isinstance(state, Job)
        return state

    async def job_when(self, job_id: str, wanted: Callable[[Job], bool]) -> Job:
        async def true_now() -> bool:
            return wanted(await self.job(job_id))

        await self.until(true_now, f"the wanted state of {job_id}")
        return await self.job(job_id)

    async def ended(self, job_id: str) -> Job:
        return await self.job_when(job_id, lambda job: job.terminal)

    async def types(self, stream: str) -> list[str]:
        return [envelope.type for envelope in await self.journal.read(stream)]

    async def events(self, stream: str, wanted: type[E]) -> list[E]:
        """The events of one type in a stream, in order."""
        return [one.event for one in await self.journal.read(stream) if isinstance(one.event, wanted)]

    async def reconfigure(self, given: Json) -> None:
        """As a changed file and SIGHUP would."""
        self.settings = settings_in(self.data_dir, given=given)
        await reload(self.live, self.journal)

    def remote(self, job_id: str, attempt: int = 1) -> RemoteJob:
        """What the simulated company on the other side knows of this attempt."""
        path = self.data_dir / "jobs" / "simulated-provider" / f"{submission_key(job_id, attempt)}.json"
        return msgspec.json.decode(path.read_bytes(), type=RemoteJob)

    async def dataset(self, rows: int = 20, *, eval_share: float = 0.3, mark: str = "") -> str:
        path = self.data_dir / f"rows-{new_id('f')}.jsonl"
        write_rows(path, [chat(f"{mark}q{n}", f"{mark}a{n}") for n in range(rows)])
        params = {"personaId": "ada", "path": str(path), "evalShare": eval_share}
        return str((await self.call("dataset-import", params))["datasetId"])

    async def create_job(self, **given: Any) -> str:
        """A simulated job; keywords that are no params of job-create are the simulation's metadata."""
        named = {name: given.pop(name) for name in ("personaId", "domain", "warmStart", "waitS") if name in given}
        dataset_id = str(given.pop("dataset_id", None) or await self.dataset())
        configuration = simulated(dataset_id, **given)
        params: Json = {"personaId": "ada", "provider": "simulated", "domain": "sums"}
        return str((await self.call("job-create", params | named | {"configuration": configuration}))["jobId"])

    async def capture(self, n: int, *, persona: str = "ada", domain: str = "sums", **more: object) -> Json:
        said: Json = {
            "personaId": persona,
            "domain": domain,
            "baseModel": "tiny",
            "input": f"{n}+{n}",
            "output": f"{2 * n}",
        }
        return await self.call("capture-interaction", said | more)

    async def captures(self, count: int, *, start: int = 0, **more: Any) -> list[Json]:
        return [await self.capture(n, **more) for n in range(start, start + count)]

    async def bucket(self) -> Json:
        """The only bucket there is."""
        [bucket] = (await self.call("bucket-status"))["buckets"]
        return dict(bucket)

    async def rule(self, *, metadata: Json | None = None, **rule: object) -> str:
        """Sets the rule of ada's sums; the bucket's id. Simulated, without cooldown unless it says otherwise."""
        template = {"method": {"type": "lora"}, "metadata": metadata or {}}
        whole = {"provider": "simulated", "cooldownS": 0, "template": template} | rule
        params = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "rule": whole}
        return str((await self.call("trigger-set", params))["bucketId"])


def simulated(dataset_id: str, **metadata: object) -> Json:
    return {
        "model": {"baseModel": "tiny"},
        "datasets": {"trainingFileId": dataset_id},
        "method": {"type": "lora"},
        "schedule": {"checkpoints": 2},
        "metadata": metadata,
    }


def chat(question: str, answer: str) -> Json:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def settings_in(data_dir: Path, *, given: Json | None = None) -> Settings:
    """Settings as a configuration file would give them; polls come fast."""
    made = {
        "data_dir": str(data_dir),
        "socket": str(data_dir / "never-bound.sock"),
        "courier": {"poll_s": {"simulated": 0.01}},
        "learning": {"base_model": "tiny", "trigger": {"provider": "simulated"}},
    }
    return msgspec.convert(made | (given or {}), Settings)


@asynccontextmanager
async def running(
    data_dir: Path,
    *,
    given: Json | None = None,
    courier: bool = True,
    triggers: bool = True,
    forgetter: bool = True,
    journal_seen_by_parts: Callable[[Journal], Journal] = lambda journal: journal,
    environment: Mapping[str, str] | None = None,
    recipes: RecipeShelf | None = None,
    spans: Spans = NO_SPANS,
) -> AsyncIterator[Rig]:
    """The parts over the journal of `data_dir`, running until the block ends, as a stop of the daemon ends them.

    journal_seen_by_parts: wraps the real journal, so that a test can come between two of its calls. environment: where
    `env:` secrets are looked up. recipes: in place of those installed; only with them the engine runs.
    """
    clock = Clock()
    settings = settings_in(data_dir, given=given)
    async with AsyncExitStack() as stack:
        secret_store = SecretStore({} if environment is None else environment)
        opened = open_journal(
            data_dir,
            read_models=GenomeReadModels(),
            now_us=clock,
            new_event_id=new_event_id,
            redaction=secret_store,
        )
        journal = await stack.enter_async_context(opened)
        seen = journal_seen_by_parts(journal)
        live = LiveSettings(settings, load=lambda: Loaded(settings=rig.settings, source=Source()))
        parts = assembled(
            settings, seen, clock=clock, secret_store=secret_store, recipes=recipes, spans=spans, live=live
        )
        rig = Rig(data_dir, journal, parts, settings, clock)
        rig.live = live
        rig.busy = courier or triggers or recipes is not None
        stack.push_async_callback(parts.providers.close)
        stack.push_async_callback(parts.models.close)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        if courier:
            tasks.start_soon(parts.courier.run)
            tasks.start_soon(parts.deployments.run)
            tasks.start_soon(parts.withdrawals.run)
            tasks.start_soon(parts.errands.run)
            tasks.start_soon(parts.prunings.run)
        if forgetter:
            tasks.start_soon(parts.forgetter.run)
        if triggers:
            tasks.start_soon(parts.triggers.run)
        if recipes is not None:
            tasks.start_soon(parts.recipe_runs.run)
        yield rig
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def listening(rig: Rig, *, group: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the rig's doors over a real Unix socket; paths of Unix sockets must be short.

    group: whose members may connect too.
    """
    stopping = anyio.Event()
    application = doors(rig.settings, rig.journal, rig.parts.dispatch, stopping, parts=rig.parts)
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            path = Path(folder) / "r" / "s"
            if group is not None:
                await anyio.Path(folder).chmod(0o711)
            await web.SockSite(runner, bound_socket(path, group=group)).start()
            async with client_of(path) as client:
                yield client
        finally:
            stopping.set()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


def client_of(path: Path | str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        "http://daemon",
        connector=aiohttp.UnixConnector(str(path)),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE_S, sock_read=PATIENCE_S),
    )
