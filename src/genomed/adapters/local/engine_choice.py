"""Which engine a job gets now, and with which interpreter: the table asked about what this machine says of itself.

An attempt that goes on from another one's checkpoints stays with its engine: they would mean nothing to another.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters.local.attempt_folder import attempts_of
from genomed.adapters.local.availability import Interpreter, Probe
from genomed.adapters.local.engine_environments import EngineEnvironments, machine_of
from genomed.adapters.local.engines import AUTO, Availability, Refusal, Work, choose, offer_of
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_file import read_plain
from genomed.entities.configuration import JobConfiguration
from genomed.entities.engines import EngineChoice, EngineName, EngineOffer
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.ports import Submission
from genomed.entities.types import RowKind, TrainingMethod


class Engines(Struct, frozen=True, kw_only=True):
    """One look at all of them."""

    probe: Probe
    offers: dict[EngineName, Availability]
    default: str

    def choose(self, wish: str, work: Work) -> EngineChoice | Refusal:
        return choose(wish, self.default, machine_of(self.probe), self.offers, work)

    def automatic(self) -> EngineChoice | None:
        """For chat rows and LoRA, which is what most jobs are."""
        chosen = self.choose(AUTO, Work(rows=RowKind.CHAT, method=TrainingMethod.LORA))
        return chosen if isinstance(chosen, EngineChoice) else None

    def shown(self) -> Sequence[EngineOffer]:
        return [offer_of(name, found) for name, found in self.offers.items()]

    def python(self, name: EngineName) -> str:
        return self.offers[name].python or self.probe.interpreter


async def look(interpreter: Interpreter, environments: EngineEnvironments, settings: LocalSettings) -> Engines:
    probe = await interpreter.probe()
    offers = await environments.offers(probe, probe.interpreter)
    return Engines(probe=probe, offers=offers, default=settings.engine)


def work_of(configuration: JobConfiguration, row_kind: RowKind) -> Work:
    hardware = configuration.hardware
    gpus = hardware.num_gpus if hardware is not None else None
    return Work(
        rows=row_kind, method=configuration.method.type, gpus=gpus, batch_size=configuration.schedule.batch_size
    )


def wish_of(configuration: JobConfiguration) -> str:
    """What the check of the metadata refuses counts as no wish."""
    wish = configuration.metadata.get("engine", AUTO)
    return str(wish) if wish in tuple(EngineName) else AUTO


def refusal(engines: Engines, configuration: JobConfiguration, row_kind: RowKind) -> Refusal | None:
    chosen = engines.choose(wish_of(configuration), work_of(configuration, row_kind))
    return chosen if isinstance(chosen, Refusal) else None


def for_attempt(engines: Engines, submission: Submission, jobs_dir: Path) -> EngineChoice | Refusal:
    """Blocking: an earlier attempt's engine is read from its folder."""
    work = work_of(submission.configuration, submission.row_kind)
    if submission.resume and (before := _before(jobs_dir, submission)) is not None:
        again = engines.choose(
            before.engine.value, msgspec.structs.replace(work, gpus=before.processes if before.processes > 1 else None)
        )
        if isinstance(again, Refusal):
            return again
        return msgspec.structs.replace(before, reason="the attempt before it, whose checkpoints it goes on from")
    chosen = engines.choose(wish_of(submission.configuration), work)
    if isinstance(chosen, Refusal) and not chosen.field:
        # The check let the job in: a look that fails now may be a moment's, and the worker says it better.
        return EngineChoice(engine=EngineName.TRL, reason=chosen.message)
    return chosen


def rejection(refused: Refusal) -> ErrorBody:
    return ErrorBody(
        kind=ErrorKind.UNSUPPORTED, message=refused.message, retryable=False, provider="local", remedy=refused.remedy
    )


class _Before(Struct, frozen=True, kw_only=True, rename="camel"):
    attempt: int
    engine: EngineName = EngineName.TRL
    processes: int = 1


def _before(jobs_dir: Path, submission: Submission) -> EngineChoice | None:
    """The engine of the newest attempt before this one; None where none can be read."""
    found = []
    for folder in attempts_of(jobs_dir, submission.job_id):
        try:
            found.append(msgspec.json.decode(read_plain(folder.spec), type=_Before))
        except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
            continue
    earlier = [each for each in found if each.attempt < submission.attempt]
    if not earlier:
        return None
    last = max(earlier, key=lambda each: each.attempt)
    return EngineChoice(engine=last.engine, reason="", processes=last.processes)
