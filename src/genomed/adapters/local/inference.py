"""Workers that answer, one per model, engine and kind of request: started at need, kept while asked, bounded.

At the bound, or where memory is short, the worker that was asked longest ago makes room, unless it is answering. One
that died is replaced at the next request. Nothing of this outlives the daemon.
"""

import shutil
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Protocol

import anyio
from anyio import to_thread

from genomed.adapters._layer_manifest import MANIFEST_NAME, digest
from genomed.adapters.local import errand_publication, inference_start, memory, published_folders, worker_start
from genomed.adapters.local.inference_start import Prepared
from genomed.adapters.local.inference_watch import InferenceWatch
from genomed.adapters.local.inference_worker import Left, Worker, started
from genomed.adapters.local.sandbox import SPAWN, Choice
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.errors import Capacity, Conflict, Transient, Unsupported
from genomed.entities.inference_port import Answer, InferenceEngine, InferenceKind, InferenceWorker, Question, Say

Key = tuple[str, InferenceEngine, InferenceKind]
TRIES = 3
"""Workers that may leave for want of questions just when one comes, in a row."""


class Sandboxes(Protocol):
    async def choice(self, *, device: str) -> Choice: ...


class InferencePool:
    """Fulfils entities.inference_port.Inference. folder: for what workers write. device: what the interpreter found.

    available: bytes of memory that can be had; None where nobody knows.
    """

    def __init__(
        self,
        settings: LocalSettings,
        folder: Path,
        *,
        layers_dir: Path,
        sandbox: Sandboxes,
        device: Callable[[], Awaitable[str]],
        available: Callable[[], int | None] = memory.available_bytes,
    ) -> None:
        self._settings, self._folder, self._layers_dir = settings, folder, layers_dir
        self._sandbox, self._device, self._available = sandbox, device, available
        self._workers: dict[Key, Worker] = {}
        self._gate = anyio.Lock()
        self._freed = anyio.Event()
        self._numbers = count(1)
        self._cleared = False
        self._closings = 0

    async def answer(self, question: Question, *, say: Say | None = None) -> Answer:
        """As the port says."""
        await to_thread.run_sync(_demand_published, question)
        for _ in range(TRIES):
            worker = await self._chosen(question)
            try:
                return await worker.answer(question, say=say)
            except Left:
                continue
            finally:
                worker.waiting -= 1
                self._freed.set()
        raise Transient("the inference workers ended again and again before they answered", provider="local")

    async def status(self) -> tuple[InferenceWorker, ...]:
        return tuple(
            InferenceWorker(
                base_model=base_model,
                engine=engine,
                kind=kind,
                pid=worker.pid,
                waiting=worker.waiting,
                answered=worker.answered,
                memory_bytes=worker.memory_bytes,
            )
            for (base_model, engine, kind), worker in self._workers.items()
            if not worker.ended
        )

    async def close(self) -> None:
        """Ends them all, also the one that is being started."""
        self._closings += 1
        workers, self._workers = self._workers, {}
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for worker in workers.values():
                    tasks.start_soon(worker.end)

    async def _chosen(self, question: Question) -> Worker:
        """The model's worker, with this request counted as waiting for it."""
        key: Key = (question.base_model, question.engine, question.kind)
        worker = self._living(key)
        if worker is None:
            async with self._gate:
                worker = self._living(key)
                if worker is None:
                    worker = self._workers[key] = await self._started_unless_closed(question, key)
        worker.waiting += 1
        worker.asked_at = anyio.current_time()
        return worker

    def _living(self, key: Key) -> Worker | None:
        worker = self._workers.get(key)
        return None if worker is None or worker.ended else worker

    async def _started_unless_closed(self, question: Question, key: Key) -> Worker:
        closings = self._closings
        worker = await self._started(question, key)
        if closings != self._closings:
            await worker.end()
            raise Transient("the inference workers were ended meanwhile", provider="local")
        return worker

    async def _started(self, question: Question, key: Key) -> Worker:
        settings = self._settings
        if settings.launch != SPAWN:
            raise Unsupported(
                "workers are started by a service manager here (launch), and those for answers cannot be",
                provider="local",
                remedy="set launch = spawn for provider local",
            )
        device = await self._device()
        choice = await self._sandbox.choice(device=device)
        if (objection := worker_start.objection(choice, settings)) is not None:
            raise Unsupported(objection.message, provider="local", remedy=objection.remedy)
        await self._make_room(question, key)
        prepared = await self._prepared(question, choice, device)
        try:
            return await started(prepared, InferenceWatch(settings, self._available))
        except OSError as refused:
            await to_thread.run_sync(prepared.clear)
            raise Transient(f"no inference worker can be started: {refused}", provider="local") from refused

    async def _prepared(self, question: Question, choice: Choice, device: str) -> Prepared:
        folder = self._folder / f"worker-{next(self._numbers)}"

        def prepare() -> Prepared:
            if not self._cleared:  # what a daemon left behind that was killed
                shutil.rmtree(self._folder, ignore_errors=True)
                self._cleared = True
            loaded = {path: told for path, told in question.published.items() if path == question.base_model}
            published_folders.demand(loaded)  # a layer that is switched on, the worker compares as it loads it
            return inference_start.prepared(
                question, folder, layers_dir=self._layers_dir, choice=choice, settings=self._settings, device=device
            )

        try:
            return await to_thread.run_sync(prepare)
        except OSError as refused:
            raise Transient(f"no inference worker can be started: {refused}", provider="local") from refused

    async def _make_room(self, question: Question, key: Key) -> None:
        """Raises Capacity."""
        self._workers.pop(key, None)
        self._workers = {known: worker for known, worker in self._workers.items() if not worker.ended}
        while len(self._workers) >= self._settings.inference_workers:
            await self._end_one()
        need = await to_thread.run_sync(inference_start.need_bytes, question)
        wanted = need + self._settings.memory_reserve_bytes
        while (there := await to_thread.run_sync(self._available)) is not None and there < wanted:
            if not self._idle():
                raise Capacity(
                    f"{question.base_model} needs about {memory.gib(need)} GiB to answer, {memory.gib(there)} GiB are "
                    f"available and {memory.gib(self._settings.memory_reserve_bytes)} GiB are kept",
                    provider="local",
                    remedy="ask again when a job has ended, or use a smaller model",
                )
            await self._end_one()

    async def _end_one(self) -> None:
        """The idle one that was asked longest ago; waits until there is one."""
        while not (idle := self._idle()):
            self._freed = anyio.Event()
            await self._freed.wait()
        chosen = min(idle, key=lambda key: self._workers[key].asked_at)
        await self._workers.pop(chosen).end()

    def _idle(self) -> list[Key]:
        return [key for key, worker in self._workers.items() if worker.waiting == 0]


def _demand_published(question: Question) -> None:
    """Raises Conflict where a layer or an export is not the one that was published."""
    name = errand_publication.MANIFEST_NAME if question.engine == "onnx" else MANIFEST_NAME
    for folder, expected in question.published.items():
        try:
            found = digest((Path(folder) / name).read_bytes())
        except OSError as missing:
            raise Conflict(f"{folder} is not loaded: {missing}", provider="local") from missing
        if found != expected:
            raise Conflict(
                f"{folder} is not loaded: its {name} is not the one that was published",
                provider="local",
                remedy="put the files back from a backup, or use another layer",
            )
