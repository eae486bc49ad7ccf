"""Where one attempt of one job keeps its files. Names only; both the worker's and ours.

A worker may write into its folder whatever it likes. What we must be able to believe (whom to signal, how it was
confined, why it was ended) lies beside the folder, where a confined worker cannot write.
"""

from pathlib import Path

from msgspec import Struct


class AttemptFolder(Struct, frozen=True):
    """root: JOBS/job-id/attempt-N. Checkpoints lie beside it: attempts of a job share them."""

    root: Path

    @property
    def spec(self) -> Path:
        return self.root / "spec.json"

    @property
    def progress(self) -> Path:
        return self.root / "progress.jsonl"

    @property
    def control(self) -> Path:
        """Written by us: what the worker is told to do."""
        return self.root / "control.json"

    @property
    def wish(self) -> Path:
        """Written by us, before `control`: the same, and since when, whatever the worker makes of that."""
        return self._beside("wish.json")

    @property
    def worker(self) -> Path:
        """Written by the worker: who it is."""
        return self.root / "worker.json"

    @property
    def started(self) -> Path:
        """Written by us: whom we started, and how confined."""
        return self._beside("started.json")

    @property
    def lock(self) -> Path:
        """Held, by an inherited descriptor, as long as the worker lives."""
        return self._beside("lock")

    @property
    def policy(self) -> Path:
        """Written by us, read by the worker before it gives up the right to."""
        return self._beside("policy.json")

    @property
    def verdict(self) -> Path:
        """Written by us before we end a worker that takes too much."""
        return self._beside("verdict.json")

    def _beside(self, name: str) -> Path:
        return self.root.with_name(f"{self.root.name}.{name}")

    @property
    def heartbeat(self) -> Path:
        return self.root / "heartbeat"

    @property
    def log(self) -> Path:
        return self.root / "worker.log"

    @property
    def result(self) -> Path:
        return self.root / "result"

    @property
    def scratch(self) -> Path:
        """A confined worker's home and temporary files; of no use once it has ended."""
        return self.root / "scratch"

    @property
    def output(self) -> Path:
        """What the layer is to be called: the worker has no use for it, publishing has."""
        return self.root / "output.json"

    @property
    def checkpoints(self) -> Path:
        return self.root.parent / "checkpoints"

    def paths(self) -> dict[str, object]:
        """As the worker is told them."""
        return {
            "progress": str(self.progress),
            "control": str(self.control),
            "worker": str(self.worker),
            "heartbeat": str(self.heartbeat),
            "checkpoints": str(self.checkpoints),
            "result": str(self.result),
        }


def attempt_folder(jobs_dir: Path, job_id: str, attempt: int) -> AttemptFolder:
    return AttemptFolder(jobs_dir / job_id / f"attempt-{attempt}")


def attempts_of(jobs_dir: Path, job_id: str) -> list[AttemptFolder]:
    return [AttemptFolder(spec.parent) for spec in sorted((jobs_dir / job_id).glob("attempt-*/spec.json"))]
