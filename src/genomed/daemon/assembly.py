"""The composition root: which part of the daemon is given which. Starts nothing."""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genomed import commands
from genomed.commands.context import Caller, Context
from genomed.daemon.access.gate import Gate
from genomed.daemon.activities import RunningActivities
from genomed.daemon.answers import Answers
from genomed.daemon.configuration.live_settings import LiveSettings
from genomed.daemon.configuration.sections import ProviderPolicy
from genomed.daemon.configuration.settings import Settings
from genomed.daemon.courier.courier import Courier
from genomed.daemon.courier.deployments import Deployments
from genomed.daemon.courier.staging import Staging
from genomed.daemon.courier.standing import Hands
from genomed.daemon.courier.withdrawals import Withdrawals
from genomed.daemon.datasets.store import DatasetStore
from genomed.daemon.dispatch import Dispatch
from genomed.daemon.errands.errands import Errands
from genomed.daemon.forgetting import Forgetter
from genomed.daemon.journal.journal import Journal
from genomed.daemon.keeping.prunings import Prunings
from genomed.daemon.keeping.retention import Retention
from genomed.daemon.maintenance import DaemonMaintenance
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.daemon.presets import PresetFile
from genomed.daemon.provider_table import ProviderTable
from genomed.daemon.recipe_engine.asking import Purses
from genomed.daemon.recipe_engine.folder import RecipeFolder
from genomed.daemon.recipe_engine.models import ModelTable
from genomed.daemon.recipe_engine.planner import Planner
from genomed.daemon.recipe_engine.runs import RecipeRuns
from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.daemon.recipe_engine.work import Workshop
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.daemon.self_tasks import SelfTasks
from genomed.daemon.trace_table import TraceTable
from genomed.daemon.triggers import Triggers
from genomed.entities.errand_port import ErrandDesk
from genomed.entities.ids import RANDOM_BYTES, event_id, time_ordered_id
from genomed.entities.presets import Shelf
from genomed.entities.recipe_shelf import RecipeShelf
from genomed.entities.types import Role


def now_us() -> int:
    return time.time_ns() // 1000


def new_id(prefix: str) -> str:
    return time_ordered_id(prefix, at_us=now_us(), entropy=secrets.token_bytes(RANDOM_BYTES))


def new_event_id() -> str:
    return event_id(at_us=now_us(), entropy=os.urandom(RANDOM_BYTES))


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What works behind the doors."""

    dispatch: Dispatch
    courier: Courier
    triggers: Triggers
    deployments: Deployments
    withdrawals: Withdrawals
    forgetter: Forgetter
    self_tasks: SelfTasks
    retention: Retention
    recipe_runs: RecipeRuns
    errands: Errands
    prunings: Prunings
    models: ModelTable
    providers: ProviderTable
    staging: Staging


@dataclass(frozen=True, kw_only=True)
class PartKinds:
    """The classes of what acts outside the log: so that failpoints can put their own in their place."""

    providers: type[ProviderTable] = ProviderTable
    models: type[ModelTable] = ModelTable
    datasets: type[DatasetStore] = DatasetStore
    staging: type[Staging] = Staging
    folder: type[RecipeFolder] = RecipeFolder


PLAIN_PARTS = PartKinds()


def assembled(
    settings: Settings,
    journal: Journal,
    *,
    clock: Callable[[], int] = now_us,
    secret_store: SecretStore | None = None,
    recipes: RecipeShelf | None = None,
    kinds: PartKinds = PLAIN_PARTS,
    live: LiveSettings | None = None,
    spans: Spans = NO_SPANS,
) -> Parts:
    """Every part with what it works with. recipes: in place of those that are installed. live: where the settings can
    be read anew.
    """
    live = live or LiveSettings(settings)
    data_dir = Path(settings.data_dir)
    secret_store = secret_store or SecretStore(insecure_keyring=lambda: live.current.secrets.insecure_keyring)
    providers = kinds.providers(
        data_dir,
        settings=settings.providers,
        allowed=lambda: live.current.allowed_providers,
        now_us=clock,
        secrets=secret_store,
    )
    staging = kinds.staging(data_dir / "uploads")
    datasets = kinds.datasets(data_dir / "datasets")
    courier = Courier(
        _hands(live, journal, providers, datasets, staging, clock),
        journal,
        slots=live.mapping(lambda now: now.courier.slots),
        interval_s=live.poll_interval_s,
        questions=lambda: live.current.courier.questions,
        spans=spans,
    )
    deployments = Deployments(journal, providers.get, now_us=clock, interval_s=live.poll_interval_s)
    withdrawals = Withdrawals(journal, providers.get, interval_s=live.poll_interval_s)
    shop = _workshop(live, journal, secret_store, clock, recipes or RecipeTable(), kinds)
    retention = Retention(journal, data_dir, lambda: live.current.retention, providers.get, now_us=clock, new_id=new_id)
    maintenance = DaemonMaintenance(journal, courier, retention)
    errands = _errands(live, journal, providers, secret_store)
    context = _context_maker(live, journal, providers, datasets, maintenance, shop, secret_store, errands)
    own = partial(context, Caller(actor="trigger", role=Role.OPERATE), {})
    gate = Gate(journal, access=lambda: live.current.access, data_dir=settings.data_dir, now_us=clock)
    return Parts(
        dispatch=Dispatch(journal, context, redact=secret_store.redact, gate=gate, spans=spans),
        courier=courier,
        triggers=Triggers(journal, own, clock, spans=spans),
        deployments=deployments,
        withdrawals=withdrawals,
        forgetter=Forgetter(journal, datasets, providers.get, shop.folder.discard),
        self_tasks=SelfTasks(journal, own, lambda: live.current.self_tasks, changed=live.changed, now_us=clock),
        retention=retention,
        recipe_runs=RecipeRuns(shop),
        errands=errands,
        prunings=Prunings(journal, layers_dir=data_dir / "layers", exports_dir=data_dir / "exports"),
        models=shop.models,
        providers=providers,
        staging=staging,
    )


def _errands(live: LiveSettings, journal: Journal, providers: ProviderTable, secret_store: SecretStore) -> Errands:
    data_dir = Path(live.current.data_dir)
    return Errands(
        journal,
        providers.get,
        exports_dir=data_dir / "exports",
        layers_dir=data_dir / "layers",
        most=lambda: live.current.courier.errands,
        interval_s=live.poll_interval_s,
        reveal=secret_store.reveal,
    )


def _workshop(
    live: LiveSettings,
    journal: Journal,
    secret_store: SecretStore,
    clock: Callable[[], int],
    recipes: RecipeShelf,
    kinds: PartKinds,
) -> Workshop:
    return Workshop(
        journal=journal,
        recipes=recipes,
        models=kinds.models(live.mapping(lambda now: now.models), secret_store),
        folder=kinds.folder(Path(live.current.data_dir) / "recipes"),
        purses=Purses(),
        now_us=clock,
        new_id=new_id,
        salt=lambda: secrets.token_hex(16),
    )


def _hands(
    live: LiveSettings,
    journal: Journal,
    providers: ProviderTable,
    datasets: DatasetStore,
    staging: Staging,
    clock: Callable[[], int],
) -> Hands:
    return Hands(
        journal=journal,
        provider_of=providers.get,
        dataset_paths=datasets.paths,
        layers_dir=str(Path(live.current.data_dir) / "layers"),
        now_us=clock,
        staging=staging,
        personal_data=lambda provider: live.current.policies.get(provider, ProviderPolicy()).personal_data,
        caps=lambda: live.current.budget,
    )


def _context_maker(
    live: LiveSettings,
    journal: Journal,
    providers: ProviderTable,
    datasets: DatasetStore,
    maintenance: DaemonMaintenance,
    shop: Workshop,
    secret_store: SecretStore,
    errands: ErrandDesk,
) -> Callable[[Caller, dict[str, object]], Context]:
    """Makes what one command may use: for this caller, with these params as they came."""
    activities = RunningActivities(now_us=shop.now_us, new_id=new_id)
    planner = Planner(shop.recipes, shop.folder, secret_store)
    presets = PresetFile(lambda: Shelf(presets=live.current.presets, prompts=live.current.prompts))
    sources = TraceTable(live.mapping(lambda now: now.traces), secret_store)
    inference = Answers(providers.get)

    def context(caller: Caller, given: dict[str, object]) -> Context:
        settings = live.current
        return Context(
            log=journal,
            providers=providers,
            datasets=datasets,
            maintenance=maintenance,
            errands=errands,
            activities=activities,
            presets=presets,
            recipes=shop.recipes,
            models=shop.models,
            planner=planner,
            traces=sources,
            waiting=shop.purses.waiting,
            now_us=shop.now_us,
            new_id=new_id,
            salt=shop.salt,
            caller=caller,
            default_base_model=settings.learning.base_model,
            default_rule=settings.learning.trigger,
            budget=settings.budget,
            guards=settings.guards,
            confirm={name: it.confirm for name, it in settings.policies.items() if it.confirm is not None},
            job_secrets=frozenset(settings.secrets.allowed),
            configuration=live,
            catalogue=commands.commands,
            given=given,
            inference=inference,
        )

    return context
