"""The provider `local`: the contract's verbs over a job's folder. Every answer is read from files, in threads.

Read `worker_process` for how a worker is started once and found again, `progress_report` for what its words mean.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from anyio import to_thread

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local import (
    engine_choice,
    judged_answers,
    layer_trust,
    memory,
    objections,
    perceptron,
    pruning,
    publication,
    sizing,
    translation,
    worker_start,
)
from genomed.adapters.local.attempt_folder import AttemptFolder, attempt_folder, attempts_of
from genomed.adapters.local.availability import Interpreter, Probe, capabilities_of
from genomed.adapters.local.base_model import UnfitModel, read_model
from genomed.adapters.local.encoder_objections import folder_objections
from genomed.adapters.local.engine_choice import Engines
from genomed.adapters.local.engine_environments import EngineEnvironments, install_path, python_in
from genomed.adapters.local.engines import Refusal
from genomed.adapters.local.errands import FOLDER, LocalErrands
from genomed.adapters.local.hangs import HangWatch
from genomed.adapters.local.inference import InferencePool
from genomed.adapters.local.language_objections import as_trained
from genomed.adapters.local.layer_import import LocalImports
from genomed.adapters.local.memory_guard import MemoryGuard
from genomed.adapters.local.observation import Wish, observe, want
from genomed.adapters.local.sandbox import Choice, Sandbox
from genomed.adapters.local.scarcity import SCARCE, looked
from genomed.adapters.local.settings import settings_from
from genomed.adapters.local.trainer_socket import TrainerAway, starter_for
from genomed.adapters.local.warm_worker import WarmWorkers
from genomed.adapters.local.worker_file import read_plain
from genomed.adapters.local.worker_process import Workers
from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.engines import EngineChoice, EngineName
from genomed.entities.errand_port import ErrandRunner
from genomed.entities.errors import ErrorBody, ErrorKind, Problem, Unsupported
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.layer_import_port import LayerImporter
from genomed.entities.ports import (
    Absent,
    Accepted,
    Deferred,
    Found,
    LayerRequest,
    LookupOutcome,
    ProviderContext,
    PublishedLayer,
    Rejected,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploads,
)
from genomed.entities.sizing_port import MemoryNeed, ModelSize
from genomed.entities.types import ModelPrecision, RowKind

NAME = "local"
MEMORY_RETRY_S = 30.0
OTHER_ATTEMPT_RETRY_S = 1.0


class _Key(msgspec.Struct, frozen=True, rename="camel"):
    submission_key: str


class LocalProvider:
    name = NAME
    uploads: Uploads | None = None
    serving: Serving | None = None

    def __init__(self, context: ProviderContext) -> None:
        self._settings = settings_from(context.settings)
        self._jobs_dir = Path(context.jobs_dir)
        self._now_us = context.now_us
        data_dir = self._jobs_dir.parent
        installed = python_in(install_path(data_dir, EngineName.TRL))
        self._interpreter = Interpreter(self._settings, context.now_us, installed=installed)
        self._environments = EngineEnvironments(self._settings, data_dir, context.now_us)
        self._sandbox = Sandbox(self._settings, self._jobs_dir, context.now_us)
        starter = starter_for(self._settings.launch)
        self._warm = WarmWorkers(starter, self._settings) if self._settings.warm else None
        self._workers = Workers(self._warm or starter)
        self._guard = MemoryGuard(self._workers, self._settings)
        self._hangs = HangWatch(self._settings)
        self.inference = InferencePool(
            self._settings,
            self._jobs_dir.with_name("inference"),
            layers_dir=Path(context.layers_dir),
            sandbox=self._sandbox,
            device=self._device,
        )
        self.imports: LayerImporter = LocalImports(Path(context.layers_dir))
        self.errands: ErrandRunner = LocalErrands(
            self._jobs_dir.parent / FOLDER,
            self._settings,
            interpreter=self._interpreter,
            sandbox=self._sandbox,
            workers=self._workers,
            guard=self._guard,
            now_us=context.now_us,
            redact=context.secrets.redact,
        )

    async def capabilities(self) -> ProviderCapabilities:
        engines = await self._engines()
        choice = await self._sandbox.choice(device=engines.probe.device.kind)
        total = await to_thread.run_sync(memory.total_bytes)
        return capabilities_of(
            engines.probe,
            memory_bytes=total,
            confinement=worker_start.shown(choice, self._settings),
            engines=engines.shown(),
            choice=engines.automatic(),
        )

    async def _engines(self) -> Engines:
        return await engine_choice.look(self._interpreter, self._environments, self._settings)

    async def check(
        self,
        configuration: JobConfiguration,
        dataset: DatasetFacts,
        *,
        asked: Sequence[str],  # noqa: ARG002 -- it has an equal for every default
    ) -> ValidationResult:
        engines = await self._engines()
        choice = await self._sandbox.choice(device=engines.probe.device.kind)
        return await to_thread.run_sync(self._check, configuration, dataset, engines, choice)

    def _check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, engines: Engines, choice: Choice
    ) -> ValidationResult:
        probe = engines.probe
        found = objections.objections(configuration, dataset, probe=probe, settings=self._settings)
        if (unheld := worker_start.objection(choice, self._settings)) is not None:
            found.append(Problem(field="", message=unheld.message, remedy=unheld.remedy))
        refused = engine_choice.refusal(engines, configuration, dataset.row_kind)
        if refused is not None and (not refused.field or all(one.field != refused.field for one in found)):
            found.insert(0, refused.as_problem())
        warnings: list[Problem] = []
        too_large: list[Problem] = []
        if not translation.has_held_out_rows(configuration, dataset):
            message = "the dataset has no held-out rows: the result cannot be proved better than what it replaces"
            warnings.append(Problem(field="schedule.evaluations", message=message))
        base_model = Path(configuration.model.base_model)
        if base_model.is_dir():
            try:
                model = read_model(base_model)
            except UnfitModel as unfit:
                found.append(Problem(field="model.baseModel", message=str(unfit)))
            else:
                found += folder_objections(configuration, model, dataset.row_kind)
                unplaced = objections.module_objections(configuration, model)
                trained = as_trained(configuration, model, self._settings, row_kind=dataset.row_kind)
                (found if trained is configuration else warnings).extend(unplaced)
                need = memory.estimate(
                    memory.workload(
                        trained,
                        model,
                        row_kind=dataset.row_kind,
                        longest_row_bytes=dataset.longest_row_bytes,
                        precision=objections.chosen_precision(configuration, probe),
                        cuda=probe.device.kind == "cuda",
                    )
                )
                too_large = self._memory_objections(configuration, need, probe)
        elif perceptron.widths_of(configuration.model.base_model):
            too_large = self._memory_objections(configuration, perceptron.need(configuration, dataset), probe)
        kind = ErrorKind.UNSUPPORTED if found or not too_large else ErrorKind.CAPACITY
        return ValidationResult(errors=(*found, *too_large), warnings=tuple(warnings), kind=kind)

    def _memory_objections(self, configuration: JobConfiguration, need: memory.Need, probe: Probe) -> list[Problem]:
        on_gpu = probe.device.kind == "cuda"
        return objections.memory_objections(
            configuration,
            need,
            total_bytes=probe.device.memory_bytes if on_gpu else memory.total_bytes(),
            reserve_bytes=0 if on_gpu else self._settings.memory_reserve_bytes,
        )

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return translation.translation(configuration, dataset, asked=asked, settings=self._settings)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:  # noqa: ARG002 -- whatever it is
        return Estimate(usd=0.0, basis="it runs on this machine, which sends no bill", source="free")

    async def quote(self, submission: Submission) -> Estimate | None:  # noqa: ARG002 -- there is nobody to ask
        return None

    async def size_of(self, base_model: str) -> ModelSize:
        return await to_thread.run_sync(sizing.size_of, base_model, (await self._engines()).probe)

    async def memory_need(self, configuration: JobConfiguration, dataset: DatasetFacts) -> MemoryNeed | None:
        return await to_thread.run_sync(sizing.memory_need, configuration, dataset, (await self._engines()).probe)

    async def forget(self, job_id: str) -> int:
        return await to_thread.run_sync(judged_answers.erase, self._jobs_dir, job_id)

    async def prune(self, job_id: str) -> int | None:
        return await to_thread.run_sync(partial(pruning.prune, self._jobs_dir, job_id, runs=self._workers.alive))

    async def submit(self, submission: Submission) -> SubmitOutcome:
        # the device decides whether it is this machine's memory that must suffice
        engines = await self._engines()
        choice = await self._sandbox.choice(device=engines.probe.device.kind)
        return await looked(partial(self._submit, submission, engines, choice))

    def _submit(self, submission: Submission, engines: Engines, choice: Choice) -> SubmitOutcome:
        device = engines.probe.device.kind
        folder = attempt_folder(self._jobs_dir, submission.job_id, submission.attempt)
        accepted = Accepted(provider_job_id=f"{NAME}-{submission.key}")
        if self._workers.was_started(folder):
            return msgspec.structs.replace(accepted, adopted=True)
        if (other := self._other_running(folder, submission.job_id)) is not None:
            reason = f"{other.root.name} of this job has not ended yet, and attempts share their checkpoints"
            return Deferred(reason=reason, retry_after_s=OTHER_ATTEMPT_RETRY_S)
        if (untrusted := layer_trust.objection(submission)) is not None:
            return Rejected(error=untrusted)
        if (unheld := worker_start.objection(choice, self._settings)) is not None:
            return Rejected(error=unheld)
        chosen = engine_choice.for_attempt(engines, submission, self._jobs_dir)
        if isinstance(chosen, Refusal):
            return Rejected(error=engine_choice.rejection(chosen))
        if device != "cuda" and (shortage := self._shortage(submission)) is not None:
            return shortage
        try:
            _write_folder(folder, submission, chosen)
            python = engines.python(chosen.engine)
            plan = worker_start.plan(
                submission,
                folder,
                choice=choice,
                settings=self._settings,
                device=device,
                python=python,
                processes=chosen.processes,
            )
            started = self._workers.start(
                folder, plan.command, plan.environment, confinement=plan.confinement, group=plan.group
            )
        except OSError as trouble:
            if self._workers.was_started(folder):  # the trainer's answer was lost, not the worker
                return msgspec.structs.replace(accepted, adopted=True)
            if trouble.errno in SCARCE:
                return Deferred(reason=f"{SCARCE[trouble.errno]}: {trouble}", retry_after_s=MEMORY_RETRY_S)
            if isinstance(trouble, TrainerAway):
                return Deferred(reason=str(trouble), retry_after_s=MEMORY_RETRY_S)
            message = f"the worker could not be started: {trouble}"
            error = ErrorBody(kind=ErrorKind.UNSUPPORTED, message=message, retryable=False, provider=NAME)
            return Rejected(error=error)
        if self._warm is not None and choice.level != "bubblewrap":
            self._warm.warm_up()
        return accepted if started else msgspec.structs.replace(accepted, adopted=True)

    def _other_running(self, own: AttemptFolder, job_id: str) -> AttemptFolder | None:
        others = (folder for folder in attempts_of(self._jobs_dir, job_id) if folder != own)
        return next((folder for folder in others if self._workers.alive(folder)), None)

    def _shortage(self, submission: Submission) -> Deferred | None:
        """Too little memory at this moment. A model that cannot be measured is not held back here."""
        available = memory.available_bytes()
        try:
            model = read_model(Path(submission.configuration.model.base_model))
        except UnfitModel:
            return None
        aside = msgspec.convert(submission.payload.get(translation.ASIDE, {}), publication.Output)
        configuration, row_kind = submission.configuration, RowKind(submission.row_kind)
        need = memory.estimate(
            memory.workload(
                as_trained(configuration, model, self._settings, row_kind=row_kind),
                model,
                row_kind=row_kind,
                longest_row_bytes=aside.longest_row_bytes,
                precision=configuration.model.precision or ModelPrecision.FP32,
            )
        )
        reserve = self._settings.memory_reserve_bytes
        if available is None or need.total <= available - reserve:
            return None
        reason = (
            f"training needs {need.in_words()}; now {memory.gib(available)} GiB are free, "
            f"of which {memory.gib(reserve)} stay free"
        )
        return Deferred(reason=reason, retry_after_s=MEMORY_RETRY_S)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- folders do not lag
        return await looked(partial(self._find, key, job_id))

    def _find(self, key: str, job_id: str) -> LookupOutcome:
        for folder in attempts_of(self._jobs_dir, job_id):
            if _key_in(folder) == key and self._workers.was_started(folder):
                return Found(provider_job_id=f"{NAME}-{key}")
        return Absent()

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- the folder is found by job and attempt
        folder = attempt_folder(self._jobs_dir, job_id, attempt)
        return await looked(
            lambda: observe(
                folder,
                cursor=cursor,
                workers=self._workers,
                guard=self._guard,
                hangs=self._hangs,
                settings=self._settings,
                now_us=self._now_us(),
            )
        )

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- as in poll
        await looked(partial(want, attempt_folder(self._jobs_dir, job_id, attempt), Wish("cancel")))

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- as in poll
        await looked(partial(want, attempt_folder(self._jobs_dir, job_id, attempt), Wish("pause")))

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- it never goes on
        raise Unsupported(f"{provider_job_id} is not held: its worker has ended, a new attempt goes on", provider=NAME)

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        folder = attempt_folder(self._jobs_dir, job_id, attempt)
        return await to_thread.run_sync(self._publish, request, artifact, folder)

    def _publish(self, request: LayerRequest, artifact: Artifact, folder: AttemptFolder) -> PublishedLayer:
        self._workers.end(folder)  # so that nobody exchanges a file between the look at it and the copy
        return publication.publish(request, artifact, folder)

    async def close(self) -> None:
        """Workers that train outlive the daemon on purpose; those that answer do not."""
        await self.inference.close()
        if self._warm is not None:
            await to_thread.run_sync(self._warm.close)

    async def _device(self) -> str:
        return (await self._interpreter.probe()).device.kind


def _key_in(folder: AttemptFolder) -> str | None:
    """None where the worker spoiled what it was told."""
    try:
        return msgspec.json.decode(read_plain(folder.spec), type=_Key).submission_key
    except (FileNotFoundError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def _write_folder(folder: AttemptFolder, submission: Submission, chosen: EngineChoice) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.checkpoints.mkdir(exist_ok=True)
    aside = submission.payload.get(translation.ASIDE, {})
    write_atomically(folder.output, msgspec.json.encode(aside))
    spec = translation.specification(submission, paths=folder.paths(), chosen=chosen)
    write_atomically(folder.spec, msgspec.json.format(msgspec.json.encode(spec), indent=1))
