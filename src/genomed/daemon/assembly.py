"""The composition root: which part of the daemon is given which. Starts nothing."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genomed import commands
from genomed.commands.context import Caller, Context
from genomed.daemon.activities import RunningActivities
from genomed.daemon.courier import Courier
from genomed.daemon.dataset_store import DatasetStore
from genomed.daemon.deployments import Deployments
from genomed.daemon.dispatch import Dispatch
from genomed.daemon.forgetting import Forgetter
from genomed.daemon.journal import Journal
from genomed.daemon.maintenance import DaemonMaintenance
from genomed.daemon.presets import PresetFile
from genomed.daemon.provider_table import ProviderTable
from genomed.daemon.recipe_asking import Purses
from genomed.daemon.recipe_folder import RecipeFolder
from genomed.daemon.recipe_models import ModelTable
from genomed.daemon.recipe_planner import Planner
from genomed.daemon.recipe_runs import RecipeRuns
from genomed.daemon.recipe_table import RecipeTable
from genomed.daemon.recipe_work import Workshop
from genomed.daemon.secret_store import SecretStore
from genomed.daemon.sections import ProviderPolicy
from genomed.daemon.self_tasks import SelfTasks
from genomed.daemon.settings import Settings
from genomed.daemon.staging import Staging
from genomed.daemon.standing import Hands
from genomed.daemon.trace_table import TraceTable
from genomed.daemon.triggers import Triggers
from genomed.daemon.withdrawals import Withdrawals
from genomed.entities.ids import RANDOM_BYTES, event_id, time_ordered_id
from genomed.entities.presets import Shelf
from genomed.entities.recipe_shelf import RecipeShelf
from genomed.entities.types import Role


def now_us() -> int:
    return time.time_ns() // 1000


def new_id(prefix: str) -> str:
    return time_ordered_id(prefix, at_us=now_us(), entropy=secrets.token_bytes(RANDOM_BYTES))


def new_event_id() -> str:
    return event_id(at_us=now_us(), entropy=secrets.token_bytes(RANDOM_BYTES))


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
    recipe_runs: RecipeRuns
    models: ModelTable
    providers: ProviderTable
    staging: Staging


def assembled(
    settings: Settings,
    journal: Journal,
    *,
    clock: Callable[[], int] = now_us,
    secret_store: SecretStore | None = None,
    recipes: RecipeShelf | None = None,
) -> Parts:
    """Every part with what it works with. recipes: in place of those that are installed."""
    data_dir = Path(settings.data_dir)
    secret_store = secret_store or SecretStore()
    providers = ProviderTable(
        data_dir,
        settings=settings.providers,
        allowed=settings.allowed_providers,
        now_us=clock,
        secrets=secret_store,
    )
    staging = Staging(data_dir / "uploads")
    datasets = DatasetStore(data_dir / "datasets")
    courier = Courier(
        _hands(settings, journal, providers, datasets, staging, clock),
        journal,
        slots=settings.courier.slots,
        intervals=settings.courier.poll_s,
        default_interval_s=settings.courier.default_poll_s,
        questions=settings.courier.questions,
    )
    deployments = Deployments(
        journal,
        providers.get,
        now_us=clock,
        intervals=settings.courier.poll_s,
        default_interval_s=settings.courier.default_poll_s,
    )
    withdrawals = Withdrawals(
        journal,
        providers.get,
        intervals=settings.courier.poll_s,
        default_interval_s=settings.courier.default_poll_s,
    )
    shop = _workshop(settings, journal, secret_store, clock, recipes or RecipeTable())
    maintenance = DaemonMaintenance(journal, courier)
    context = _context_maker(settings, journal, providers, datasets, maintenance, shop, secret_store)
    ours = Caller(actor="trigger", role=Role.OPERATE)
    return Parts(
        dispatch=Dispatch(journal, context, redact=secret_store.redact),
        courier=courier,
        triggers=Triggers(journal, lambda: context(ours, {}), clock),
        deployments=deployments,
        withdrawals=withdrawals,
        forgetter=Forgetter(journal, datasets, providers.get, shop.folder.discard),
        self_tasks=SelfTasks(journal, lambda: context(ours, {}), settings.self_tasks, now_us=clock),
        recipe_runs=RecipeRuns(shop),
        models=shop.models,
        providers=providers,
        staging=staging,
    )


def _workshop(
    settings: Settings,
    journal: Journal,
    secret_store: SecretStore,
    clock: Callable[[], int],
    recipes: RecipeShelf,
) -> Workshop:
    return Workshop(
        journal=journal,
        recipes=recipes,
        models=ModelTable(settings.models, secret_store),
        folder=RecipeFolder(Path(settings.data_dir) / "recipes"),
        purses=Purses(),
        now_us=clock,
        new_id=new_id,
        salt=lambda: secrets.token_hex(16),
    )


def _hands(
    settings: Settings,
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
        layers_dir=str(Path(settings.data_dir) / "layers"),
        now_us=clock,
        staging=staging,
        personal_data=lambda provider: settings.policies.get(provider, ProviderPolicy()).personal_data,
        budget=settings.budget,
    )


def _context_maker(
    settings: Settings,
    journal: Journal,
    providers: ProviderTable,
    datasets: DatasetStore,
    maintenance: DaemonMaintenance,
    shop: Workshop,
    secret_store: SecretStore,
) -> Callable[[Caller, dict[str, object]], Context]:
    """Makes what one command may use: for this caller, with these params as they came."""
    activities = RunningActivities(now_us=shop.now_us, new_id=new_id)
    planner = Planner(shop.recipes, shop.folder, secret_store)
    presets = PresetFile(Shelf(presets=settings.presets, prompts=settings.prompts))
    sources = TraceTable(settings.traces, secret_store)
    confirm = {name: policy.confirm for name, policy in settings.policies.items() if policy.confirm is not None}

    def context(caller: Caller, given: dict[str, object]) -> Context:
        return Context(
            log=journal,
            providers=providers,
            datasets=datasets,
            maintenance=maintenance,
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
            confirm=confirm,
            job_secrets=frozenset(settings.secrets.allowed),
            catalogue=commands.commands,
            given=given,
        )

    return context
