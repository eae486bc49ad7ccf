"""One run's recipe with everything that it works with: what is the same for all of its work items.

Calls the recipe's own code, and only through the rim. Knows nothing of workers or of when a run ends.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.daemon.journal.journal import Journal
from genomed.daemon.recipe_engine.asking import Asker, Bill, Encoder, Purses, Questions, RunPurse
from genomed.daemon.recipe_engine.folder import RecipeFolder, Templates
from genomed.daemon.recipe_engine.models import ModelTable
from genomed.daemon.recipe_engine.rim import foreign
from genomed.entities.dataset_port import Generated
from genomed.entities.errors import Conflict, GenomeError, Internal, InvalidRequest
from genomed.entities.recipe import Run, Tally, told
from genomed.entities.recipe_events import RecipeStarted
from genomed.entities.recipe_port import Candidate, Finding, Recipe, Tools, WorkItem
from genomed.entities.recipe_shelf import PlanRequest, RecipeShelf
from genomed.entities.review import Batch, ReviewBody, body_of
from genomed.entities.rows import Row
from genomed.entities.types import RowKind


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What all runs share."""

    journal: Journal
    recipes: RecipeShelf
    models: ModelTable
    folder: RecipeFolder
    purses: Purses
    now_us: Callable[[], int]
    new_id: Callable[[str], str]
    salt: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What one run's work items share. row_kind: of the draft."""

    shop: Workshop
    run_id: str
    started: RecipeStarted
    recipe: Recipe
    params: Struct
    templates: Templates
    row_kind: RowKind

    @property
    def plan_request(self) -> PlanRequest:
        return PlanRequest(
            run_id=self.run_id,
            recipe=self.started.recipe,
            params=self.params,
            wanted=self.started.wanted,
            seed=self.started.seed,
        )

    @property
    def what(self) -> str:
        """For people."""
        return f"recipe {self.recipe.name} {self.recipe.version}"

    def tools(self, item: WorkItem, purse: RunPurse, bill: Bill) -> Tools:
        def questions(name: str | None) -> Questions | None:
            return None if name is None else Questions(self.shop.models.get(name), purse, bill)

        model, judge = questions(self.started.model), questions(self.started.judge)
        encoder, target = questions(self.started.encoder), questions(self.started.target_encoder)
        return Tools(
            draw=random.Random(item.seed),
            ask=Asker(model) if model else None,
            judge=Asker(judge) if judge else None,
            encode=Encoder(encoder) if encoder else None,
            inputs=self.shop.folder.inputs(self.run_id),
            template=self.templates,
            encode_target=Encoder(target) if target else None,
        )

    async def produced(self, item: WorkItem, tools: Tools) -> Sequence[Candidate]:
        """Raises ValueError where nobody can read what came, GenomeError for everything else."""
        with foreign(self.what):
            if any((tools.ask, tools.judge, tools.encode, tools.encode_target)):
                return await self.recipe.produce(item, self.params, tools)
            # Nothing to wait for means nothing but work: it has a thread and a loop of its own.
            return await anyio.to_thread.run_sync(lambda: anyio.run(self.recipe.produce, item, self.params, tools))

    def finding(self, candidate: Candidate, item: WorkItem) -> Finding:
        """What the recipe's checks say; and a row that cannot become one of the draft's kind is of no use to it."""
        try:
            with foreign(f"the checks of {self.what}"):
                finding = self.recipe.check(candidate, item, self.params)
            if finding.ok:
                with foreign(f"compile of {self.what}"):
                    if not self.recipe.compile(candidate.row, self.row_kind, self.params):
                        return Finding(ok=False, reasons=(f"gives no {self.row_kind.value} row",))
        except (ValueError, GenomeError) as wrong:
            # A ValueError's text may quote the row; ours do not.
            why = wrong.message if isinstance(wrong, GenomeError) else type(wrong).__name__
            return Finding(ok=False, reasons=(f"could not be checked: {why}",))
        return finding

    def body(self, row: Row, item: WorkItem, candidate: Candidate, finding: Finding) -> ReviewBody:
        made = Generated(
            recipe=self.recipe.name,
            version=self.recipe.version,
            run_id=self.run_id,
            item_key=item.key,
            model=self.started.model_called,
        )
        group = _text(item, "group") or f"{self.recipe.name}/{item.key}"
        body = body_of(
            row,
            salt=self.shop.salt(),
            generated=made,
            group=group,
            source=_text(item, "source") or self.run_id,
            notes=dict(candidate.notes),
            reasons=told(finding.reasons),
        )
        return msgspec.structs.replace(body, session_id=_text(item, "session_id"), person_id=_text(item, "person_id"))

    def purse(self, tally: Tally) -> RunPurse:
        return self.shop.purses.of(self.run_id, self.started.budget, tally.cost)

    async def batch(self) -> Batch:
        state = (await self.shop.journal.load(f"review/{self.started.batch_id}")).state
        if not isinstance(state, Batch):
            raise Internal(f"review batch {self.started.batch_id} is not in the log")
        return state


def _text(item: WorkItem, name: str) -> str | None:
    value = item.data.get(name)
    return value if isinstance(value, str) and value else None


async def run_of(journal: Journal, run_id: str) -> Run:
    state = (await journal.load(f"recipe/{run_id}")).state
    if not isinstance(state, Run):
        raise Internal(f"run {run_id} is not in the log")
    return state


async def bench_of(shop: Workshop, run_id: str, started: RecipeStarted) -> Bench:
    """Raises GenomeError where the run cannot go on as it was started: its recipe, models or inputs are others now."""
    recipe = shop.recipes.get(started.recipe)
    if recipe.version != started.version:
        raise Conflict(
            f"recipe {recipe.name} has version {recipe.version} now; {run_id} was started with {started.version}",
            remedy="start the recipe anew with the same draft: what is done stays",
        )
    for name in (started.model, started.judge, started.encoder, started.target_encoder):
        if name is not None:
            shop.models.settings(name)
    await shop.folder.verify(run_id, started.inputs_sha256)
    templates = await shop.folder.templates(recipe)
    if templates.sha256 != started.prompts_sha256:
        raise Conflict(f"the prompts of recipe {recipe.name} are not those that {run_id} was started with")
    try:
        params = msgspec.convert(started.params, recipe.Params)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the params of {run_id} do not fit its recipe any more: {error}") from None
    return Bench(
        shop=shop,
        run_id=run_id,
        started=started,
        recipe=recipe,
        params=params,
        templates=templates,
        row_kind=started.row_kind,
    )
