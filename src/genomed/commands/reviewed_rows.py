"""Synthetic rows that were let in, on their way into a version: read from their bodies, compiled by their recipe.

Which rows those are, `review_lessons` says: rejected, pending and regenerating ones are never read, let alone frozen.
"""

from collections import Counter
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import Context
from genomed.commands.draft_view import batches_of, reviewed
from genomed.commands.review_lessons import approved_lessons
from genomed.entities.checking import convert
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.draft import Draft
from genomed.entities.errors import NotFound
from genomed.entities.recipe import Run
from genomed.entities.recipe_port import Recipe
from genomed.entities.review import LET_IN
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import Row, kind_of
from genomed.entities.types import ReviewState

MISFIT, NO_RECIPE, UNFIT = "of another row kind", "of a recipe that is not here", "nothing to learn"


class LetIn(Struct, frozen=True, kw_only=True):
    """steps: what the review let in and what it kept out, with counts."""

    lessons: tuple[Lesson, ...]
    steps: tuple[CleaningStep, ...]


@dataclass
class _Compiler:
    """Recipes and their runs' params, looked up once per freezing."""

    context: Context
    made: dict[str, tuple[Recipe, Struct] | None] = field(default_factory=dict)

    async def rows(self, lesson: Lesson, draft: Draft) -> tuple[list[Row], str | None]:
        """The rows of the draft's kind that it gives, and why there are none."""
        rows = [lesson.row]
        if kind_of(lesson.row) is not draft.row_kind:
            maker = await self._maker(lesson)
            if maker is None:
                return [], MISFIT if lesson.generated is None else NO_RECIPE
            recipe, params = maker
            rows = list(await self.context.planner.compiled(recipe, lesson.row, draft.row_kind, params))
        good = [row for row in rows if kind_of(row) is draft.row_kind and not unfit(row)]
        return good, None if good else UNFIT

    async def _maker(self, lesson: Lesson) -> tuple[Recipe, Struct] | None:
        made = lesson.generated
        if made is None or made.run_id is None:
            return None
        if made.run_id not in self.made:
            self.made[made.run_id] = await self._looked_up(made.recipe, made.run_id)
        return self.made[made.run_id]

    async def _looked_up(self, name: str, run_id: str) -> tuple[Recipe, Struct] | None:
        try:
            recipe = self.context.recipes.get(name)
        except NotFound:
            return None
        run = (await self.context.log.load(f"recipe/{run_id}")).state
        given = run.started.params if isinstance(run, Run) else {}
        return recipe, convert(given, recipe.Params, root="params")


async def lessons_let_in(context: Context, draft_id: str, draft: Draft) -> LetIn:
    """Every approved and auto-approved row, in the order in which they were proposed."""
    found = await approved_lessons(context, await batches_of(context, draft_id, draft))
    left = Counter({"erased": found.erased} if found.erased else {})
    lessons: list[Lesson] = []
    compiler = _Compiler(context)
    for lesson in found.lessons:
        compiled, why = await compiler.rows(lesson, draft)
        lessons += [replace(lesson, row=row) for row in compiled]
        if why is not None:
            left[why] += 1
    return LetIn(lessons=tuple(lessons), steps=await _steps(context, draft_id, draft, left))


async def _steps(context: Context, draft_id: str, draft: Draft, left: Counter[str]) -> tuple[CleaningStep, ...]:
    counts = await reviewed(context, draft_id, draft)
    if not counts:
        return ()
    total, let_in = sum(counts.values()), sum(counts.get(state, 0) for state in LET_IN)
    told = ", ".join(f"{counts[state]} {state}" for state in ReviewState if counts.get(state))
    steps = [CleaningStep(step="review", examined=total, removed=total - let_in, note=told)]
    if left:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(left.items()))
        steps.append(CleaningStep(step="compiled", examined=let_in, removed=left.total(), note=why))
    return tuple(steps)
