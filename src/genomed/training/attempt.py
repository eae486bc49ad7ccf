"""What every kind of training shares: the job's folder and data, the checkpoint it goes on from, and how it is stopped.

Knows nothing of models. Failures and stops leave as exceptions, which `command_line` tells.
"""

import hashlib
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import checkpoints, engine, layer_files, ranks, settings
from .checkpoints import Checkpoint
from .failures import WorkerFailure
from .hardware import Hardware, look, versions
from .protocol import Progress, Wish, Wishes
from .specification import Specification

KEPT_CHECKPOINTS = 2
"""At least so many committed checkpoints stay: the newest, and the one before it should the newest rot."""


class Stopped(Exception):
    """The daemon wished it, and the run is at a place where it can."""

    def __init__(self, wish: Wish, *, step: int, checkpoint: Checkpoint | None) -> None:
        super().__init__(wish)
        self.wish, self.step, self.checkpoint = wish, step, checkpoint


class Attempt:
    """The facts that every stage shares."""

    def __init__(self, spec: Specification, progress: Progress, wishes: Wishes) -> None:
        self.spec, self.progress, self.wishes = spec, progress, wishes
        self.checkpoints = Path(spec.paths.checkpoints)
        try:
            data = f"{spec.dataset.sha256}:{layer_files.file_hash(Path(spec.dataset.train))}"
        except OSError as broken:
            raise WorkerFailure("invalid_request", f"the training rows cannot be read: {broken}") from None
        self.run = checkpoints.Run(hashlib.sha256(data.encode()).hexdigest(), spec.config_digest)
        self.resumed: Checkpoint | None = None
        self.began = time.monotonic()

    def phase(self, name: str) -> None:
        self.progress.tell("phase", phase=name)

    def pause(self) -> None:
        self.progress.work()
        if wish := self.wishes.now():
            raise Stopped(wish, step=self.resumed.step if self.resumed else 0, checkpoint=self.resumed)

    def start(self) -> Hardware:
        """For engines that compute with torch."""
        import torch

        if self.spec.threads is not None:
            torch.set_num_threads(self.spec.threads)
        hardware = look()
        self.open(
            device=hardware.device.kind,
            device_name=hardware.device.name,
            precision=settings.precision(self.spec, hardware),
            threads=torch.get_num_threads(),
        )
        if self.spec.dataset.kind != "vector_pair":  # torch is enough for those, and the other libraries take seconds
            engine.quiet()
        return hardware

    def open(self, *, device: str, device_name: str, precision: str, threads: int | None) -> None:
        """Says who works on what. Goes on from the newest checkpoint that verifies, where one is asked for."""
        spec = self.spec
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        if spec.resume:
            self.resumed = checkpoints.newest(self.checkpoints, self.run, rejected=self._rejected)
        elif ranks.leads():
            checkpoints.clear(self.checkpoints)
        self.progress.tell(
            "started",
            pid=os.getpid(),
            attempt=spec.attempt,
            resume=spec.resume,
            resumedFromStep=self.resumed.step if self.resumed else None,
            versions=versions(),
            device=device,
            deviceName=device_name,
            precision=precision,
            threads=threads,
        )
        self.progress.tell(
            "effective", fields=[{"field": "engine", "asked": None, "sent": spec.engine, "note": spec.engine_reason}]
        )

    def _rejected(self, path: Path, reason: str) -> None:
        self.progress.tell("checkpoint_rejected", path=str(path), reason=reason)

    def only_cancel(self, *, step: int, checkpoint: Checkpoint | None) -> None:
        """A trained layer is minutes from done: it is finished, not paused, lest a run without checkpoints lose it."""
        self.progress.work()
        if self.wishes.now() == "cancel":
            raise Stopped("cancel", step=step, checkpoint=checkpoint)

    def notice(self, code: str, message: str) -> None:
        """Something that a reader of the job's history should know, and that changes nothing by itself."""
        self.progress.tell("notice", code=code, message=message)

    def finish(
        self,
        *,
        step: int,
        total_steps: int | None,
        losses: Sequence[float],
        tokens_seen: int | None,
        files: Mapping[str, str],
        **facts: object,
    ) -> None:
        """The result stands at its place. facts: `layersAdapted`, `trainableParameters`, `fullModel`."""
        self.progress.tell(
            "finished",
            step=step,
            totalSteps=total_steps,
            trainLoss=sum(losses) / len(losses) if losses else None,
            tokensSeen=tokens_seen,
            seconds=time.monotonic() - self.began,
            peakMemoryBytes=peak_memory(),
            files=dict(files),
            **facts,
        )


def peak_memory() -> int:
    """Of the device that trained.

    Linux counts in ru_maxrss also what the parent had when this process was forked; VmHWM of proc(5) is its own alone.
    Elsewhere ru_maxrss, which macOS gives in bytes, getrusage(2).
    """
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
