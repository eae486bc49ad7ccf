"""Which job of Together's a submission became. Its create call takes no key of ours, so this is circumstance.

The key travels in the suffix; a slip on our disk, written before the call, says which training file went with it and,
after it, which job came of it. A job is ours when suffix, file and time agree, and when it is the only one.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.together.wire import JobEntry, at_us

EARLIEST_S = 600
"""Their clock may be behind ours by as much."""

LATEST_S = 86_400
"""A call may have been made long after it was intended: a provider that is busy is asked again for hours."""


class Slip(Struct, frozen=True, kw_only=True):
    """provider_job_id: null while nobody knows what became of the call."""

    training_file: str
    sent_us: int
    provider_job_id: str | None = None


class Slips:
    """One small file per submission, in the job's own folder. Blocking: call it in a thread."""

    def __init__(self, jobs_dir: Path) -> None:
        self._jobs_dir = jobs_dir

    def read(self, job_id: str, key: str) -> Slip | None:
        """Null where there is none. Raises OSError where the disk does not say."""
        try:
            return msgspec.json.decode(self._path(job_id, key).read_bytes(), type=Slip)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def write(self, job_id: str, key: str, slip: Slip) -> None:
        path = self._path(job_id, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, msgspec.json.encode(slip))

    def drop(self, job_id: str, key: str) -> None:
        self._path(job_id, key).unlink(missing_ok=True)

    def _path(self, job_id: str, key: str) -> Path:
        return self._jobs_dir / job_id / f"together-{key}.json"


class Match(Struct, frozen=True, kw_only=True):
    """theirs: the one job that it must be. doubt: why that cannot be said, though jobs of that key are listed.

    final: looking again cannot help.
    """

    theirs: str | None = None
    doubt: str | None = None
    final: bool = False


def match(listed: Sequence[JobEntry], *, key: str, training_file: str | None, about_us: int) -> Match:
    """about_us: when it was sent, or meant to be. training_file: null where the slip is lost."""
    named = {job.id: job for job in listed if key in (job.suffix or "") or key in (job.model_output_name or "")}
    agreeing = [job.id for job in named.values() if _same_file(job, training_file) and _in_time(job, about_us)]
    if len(agreeing) == 1:
        return Match(theirs=agreeing[0])
    if agreeing:
        return Match(doubt=f"{len(agreeing)} jobs bear the key {key}: {', '.join(sorted(agreeing))}", final=True)
    if named:
        return Match(doubt=f"{', '.join(sorted(named))} bears the key {key}, but has another training file or time")
    return Match()


def _same_file(job: JobEntry, training_file: str | None) -> bool:
    return training_file is None or job.training_file in {None, "", training_file}


def _in_time(job: JobEntry, about_us: int) -> bool:
    created = at_us(job.created_at)
    if created is None:
        return True
    return -EARLIEST_S <= (created - about_us) / 1_000_000 <= LATEST_S
