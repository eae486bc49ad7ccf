"""As much of the daemon's context as a command needs that looks nothing up: the journal, ids, a salt, a base model."""

from pathlib import Path
from typing import cast

from genomed import commands
from genomed.commands.context import Caller, Context, Maintenance, Presets
from genomed.daemon.access.gate import Gate
from genomed.daemon.activities import RunningActivities
from genomed.daemon.assembly import new_id, now_us
from genomed.daemon.configuration.sections import Access
from genomed.daemon.datasets.store import DatasetStore
from genomed.daemon.dispatch import Dispatch
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.daemon.provider_table import ProviderTable
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.budget import Budget
from genomed.entities.configured import Configuration
from genomed.entities.errand_port import ErrandDesk
from genomed.entities.guards import Guards
from genomed.entities.inference_port import Inference
from genomed.entities.recipe_shelf import ModelShelf, RecipePlanner, RecipeShelf
from genomed.entities.trace import TraceShelf
from genomed.entities.trigger_rule import TriggerRule

ACCESS = Access()


def capturing_dispatch(
    journal: Journal, folder: Path, *, gate: Gate | None = None, spans: Spans = NO_SPANS
) -> Dispatch:
    providers = ProviderTable(folder, settings={}, allowed=tuple, now_us=now_us, secrets=SecretStore({}))
    datasets = DatasetStore(folder / "datasets")

    activities = RunningActivities(now_us=now_us, new_id=new_id)

    def context(caller: Caller, given: dict[str, object]) -> Context:
        return Context(
            log=journal,
            providers=providers,
            datasets=datasets,
            maintenance=cast(Maintenance, None),
            activities=activities,
            errands=cast(ErrandDesk, None),
            inference=cast(Inference, None),
            recipes=cast(RecipeShelf, None),
            models=cast(ModelShelf, None),
            planner=cast(RecipePlanner, None),
            presets=cast(Presets, None),
            traces=cast(TraceShelf, None),
            waiting=lambda _: None,
            now_us=now_us,
            new_id=new_id,
            salt=lambda: "0" * 32,
            caller=caller,
            default_base_model="benchmark-model",
            default_rule=TriggerRule(),
            budget=Budget(),
            guards=Guards(),
            confirm={},
            job_secrets=frozenset(),
            configuration=cast(Configuration, None),
            catalogue=commands.commands,
            given=given,
        )

    return Dispatch(journal, context, gate=gate or Gate(journal, access=lambda: ACCESS), spans=spans)
