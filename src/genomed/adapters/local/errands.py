"""Errands on this machine: processes like a job's worker, one folder per errand, found again by any later daemon.

errands/ID/attempt-N holds what a job's attempt folder holds, and beside it lie the lock and what we must be able to
believe. Does not know the log; what an errand does is its program's.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from anyio import to_thread
from msgspec.structs import replace

from genomed.adapters.local import errand_publication, errand_start, memory, published_folders, worker_start
from genomed.adapters.local.attempt_folder import AttemptFolder, attempts_of
from genomed.adapters.local.availability import Interpreter, Probe
from genomed.adapters.local.control_group import Group
from genomed.adapters.local.errand_progress import Said, read_on
from genomed.adapters.local.hangs import HangWatch
from genomed.adapters.local.memory_guard import MemoryGuard, died_for_memory, killed_for_memory, verdict_in
from genomed.adapters.local.observation import Wish, enforce_cancel, last_words, log_tail, want, wish_in
from genomed.adapters.local.sandbox import Choice, Sandbox
from genomed.adapters.local.scarcity import SCARCE, looked
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.trainer_socket import SPAWN, TrainerAway
from genomed.adapters.local.worker_process import Workers, record_in
from genomed.entities.errand_port import Errand, ErrandLook, ExportRequest, PublishedExport
from genomed.entities.errors import Capacity, Transient, Unsupported

FOLDER = "errands"
RETRY_S = 30.0


class LocalErrands:
    """Fulfils ErrandRunner. home: the data folder's errands/. redact: takes secrets out of texts."""

    def __init__(
        self,
        home: Path,
        settings: LocalSettings,
        *,
        interpreter: Interpreter,
        sandbox: Sandbox,
        workers: Workers,
        guard: MemoryGuard,
        now_us: Callable[[], int],
        redact: Callable[[str], str],
    ) -> None:
        self._home, self._settings = home, settings
        self._interpreter, self._sandbox, self._workers, self._guard = interpreter, sandbox, workers, guard
        self._hangs = HangWatch(settings)
        self._now_us, self._redact = now_us, redact
        self._said: dict[Path, Said] = {}

    async def start(self, errand: Errand) -> None:
        probe = await self._interpreter.probe()
        if probe.reason is not None and self._settings.launch != SPAWN:
            raise Transient(f"the trainer does not answer: {probe.reason}", retry_after_s=RETRY_S, provider="local")
        if probe.reason is not None:
            raise Unsupported(f"work on layers is not available: {probe.reason}", provider="local")
        choice = await self._sandbox.choice(device=probe.device.kind)
        await looked(partial(self._start, errand, probe, choice))

    def _start(self, errand: Errand, probe: Probe, choice: Choice) -> None:
        folder = self._folder(errand.errand_id, errand.attempt)
        if self._workers.was_started(folder):
            return
        others = (one for one in attempts_of(self._home, errand.errand_id) if one != folder)
        if any(self._workers.alive(one) for one in others):
            raise Transient(f"an earlier attempt of errand {errand.errand_id} has not ended yet", provider="local")
        if (unheld := worker_start.objection(choice, self._settings)) is not None:
            raise Unsupported(unheld.message, provider="local", remedy=unheld.remedy)
        published_folders.demand(errand.verify)
        self._demand_memory()
        try:
            settings = replace(self._settings, python=probe.interpreter)
            errand_start.write_order(errand, folder, settings)
            plan = errand_start.plan(errand, folder, choice=choice, settings=settings, device=probe.device.kind)
            self._workers.start(folder, plan.command, plan.environment, confinement=plan.confinement, group=plan.group)
        except OSError as trouble:
            if self._workers.was_started(folder):
                return
            if trouble.errno in SCARCE:
                raise Capacity(f"{SCARCE[trouble.errno]}: {trouble}", provider="local") from trouble
            if isinstance(trouble, TrainerAway):
                raise Transient(str(trouble), retry_after_s=RETRY_S, provider="local") from trouble
            raise Unsupported(f"the errand could not be started: {trouble}", provider="local") from trouble

    def _demand_memory(self) -> None:
        """Raises Capacity where not even the bare process fits; what the model needs, its program finds out."""
        available, reserve = memory.available_bytes(), self._settings.memory_reserve_bytes
        if available is not None and available - reserve < memory.PROCESS_BYTES:
            raise Capacity(
                f"{memory.gib(available)} GiB of memory are free, of which {memory.gib(reserve)} stay free",
                provider="local",
            )

    async def look(self, errand_id: str, *, attempt: int = 1) -> ErrandLook:
        return await looked(partial(self._look, self._folder(errand_id, attempt)))

    def _look(self, folder: AttemptFolder) -> ErrandLook:
        alive = self._workers.alive(folder)  # before reading, so that a dead process's last words are not missed
        if not alive and not self._workers.was_started(folder):
            return ErrandLook(state="absent")
        said = read_on(self._said.get(folder.root, Said()), folder, redact=self._redact)
        self._said[folder.root] = said
        look = replace(said.look, result=str(folder.result) if said.look.state == "finished" else None)
        if look.state == "running" and alive:
            return self._attended(folder, look)
        if look.state == "running":
            look = self._gone(folder, look)
        elif alive:
            self._workers.end(folder)
        shutil.rmtree(folder.scratch, ignore_errors=True)  # one that was killed could not
        record = record_in(folder)
        if record is not None and record.group is not None:
            Group(record.group).remove()
        return look

    def _attended(self, folder: AttemptFolder, look: ErrandLook) -> ErrandLook:
        now_us = self._now_us()
        enforce_cancel(folder, workers=self._workers, settings=self._settings, now_us=now_us)
        self._hangs.look(folder, word=look.phase or "", now_us=now_us)
        self._guard.look(folder, now_us=now_us)
        return look

    def _gone(self, folder: AttemptFolder, look: ErrandLook) -> ErrandLook:
        if wish_in(folder) is not None:
            return replace(look, state="cancelled")
        now_us = self._now_us()
        verdict = (
            verdict_in(folder)
            or killed_for_memory(folder, self._workers, now_us=now_us)
            or died_for_memory(folder, log_tail(folder.log), now_us=now_us)
        )
        if verdict is not None and not verdict.lost:
            return replace(look, state="failed", error=verdict.error())
        why = verdict.message if verdict else last_words(folder, code=self._workers.code(folder))
        return replace(look, state="lost", message=self._redact(why))

    async def cancel(self, errand_id: str, *, attempt: int = 1) -> None:
        await looked(partial(want, self._folder(errand_id, attempt), Wish("cancel")))

    async def publish(self, request: ExportRequest) -> PublishedExport:
        folder = self._folder(request.errand_id, request.attempt)
        return await to_thread.run_sync(self._publish, request, folder)

    def _publish(self, request: ExportRequest, folder: AttemptFolder) -> PublishedExport:
        self._workers.end(folder)  # so that nobody exchanges a file between the look at it and the copy
        return errand_publication.publish(request, folder.result)

    async def clear(self, errand_id: str) -> int:
        return await looked(partial(self._clear, errand_id))

    def _clear(self, errand_id: str) -> int:
        home = self._home / errand_id
        if home.is_symlink() or not home.is_dir():
            return 0
        if any(self._workers.alive(one) for one in attempts_of(self._home, errand_id)):
            return 0
        size = sum(Path(where, name).lstat().st_size for where, _, names in os.walk(home) for name in names)
        shutil.rmtree(home)
        for root in list(self._said):  # at once: other threads look at other errands meanwhile
            if root.parent == home:
                self._said.pop(root, None)
        return size

    def _folder(self, errand_id: str, attempt: int) -> AttemptFolder:
        return AttemptFolder(self._home / errand_id / f"attempt-{attempt}")
