"""From rows to a dataset: the workbench is set up, every cleaning step runs, the rows are split and published.

All of it is blocking work for a thread. Knows the order of things; each thing is in a module of its own.
"""

from collections.abc import Iterable
from pathlib import Path

from genomed.curation.cleaning.row_steps import RowCleaning, Tally
from genomed.daemon.datasets.duplicates import exact, near
from genomed.daemon.datasets.files import EVAL, LINEAGE, kind_of_file, lineage_of, publish
from genomed.daemon.datasets.intake import Intake, compared_from, lines_of
from genomed.daemon.datasets.scratch import Scratch
from genomed.daemon.datasets.shares import drawing, one_source, self_generated
from genomed.daemon.datasets.split import remember, split
from genomed.daemon.datasets.tokens import token_counter
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Freezing, FrozenFiles, Lesson
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.types import RowKind


class Bench:
    """One freeze. Take rows in with `take`, then `cleaned`, then `published`."""

    def __init__(self, scratch: Scratch, how: Freezing, *, datasets: Path) -> None:
        self._scratch = scratch
        self._how = how
        self._datasets = datasets
        count_tokens, counted_by = token_counter(how.rules.tokenizer)
        self._rows = RowCleaning(how.rules, count_tokens=count_tokens, counted_by=counted_by)
        self._similarity = compared_from(how)
        self._intake = Intake(scratch, seed=how.seed, cleaned=self._rows.cleaned, similarity=self._similarity)
        scratch.function("drawn", 1, drawing(how.seed))

    def take(self, lessons: Iterable[Lesson]) -> None:
        self._intake.take(lessons)

    def cleaned(self, kind: RowKind) -> tuple[CleaningStep, ...]:
        """Every step that the rules ask for, in order; then the split, with the overlap that had to go."""
        scratch, rules = self._scratch, self._how.rules
        self._recall(kind)
        tallies: list[Tally] = []
        duplicates = exact(scratch, remove=rules.exact_duplicates)
        if rules.exact_duplicates:
            tallies.append(duplicates)
        if self._similarity is not None:
            remove = rules.near_duplicate_similarity is not None
            similar = near(scratch, kind, wanted=self._similarity, remove=remove)
            tallies += [similar] if remove else []
        if rules.max_self_generated_share is not None:
            tallies.append(self_generated(scratch, rules.max_self_generated_share))
        if rules.max_source_share is not None:
            tallies.append(one_source(scratch, rules.max_source_share))
        tallies.append(split(scratch, self._how))
        return (*self._rows.told(), *(tally.told() for tally in tallies))

    def published(
        self, made: Path, kind: RowKind, steps: tuple[CleaningStep, ...], *, below: Path | None = None
    ) -> FrozenFiles:
        """As a dataset below that folder, or where datasets lie. Raises InvalidRequest where nothing is left."""
        if not self._scratch.number("SELECT count(*) FROM rows WHERE ordinal >= 0 AND gone = 0"):
            raise InvalidRequest.of([_nothing_left(steps)])
        return publish(self._scratch, below or self._datasets, made, self._how, kind, steps)

    def _recall(self, kind: RowKind) -> None:
        """What earlier datasets held out, and which groups they had on which side."""
        for earlier in self._how.held_out_with:
            folder = self._datasets / earlier
            if not (folder / LINEAGE).is_file():
                raise NotFound(f"the files of dataset {earlier} are not there, so its held-out rows are not known")
            remember(self._scratch, lineage_of(folder / LINEAGE), self._how.seed)
            if kind_of_file(folder / EVAL) is kind:  # rows of another kind are not compared with these
                self._intake.take_ghosts(lines_of(folder / EVAL, self._scratch.still_wanted), kind)


def _nothing_left(steps: Iterable[CleaningStep]) -> Problem:
    took = [f"{step.step} {step.removed}" for step in steps if step.removed]
    if not took:
        return Problem(field="path", message="holds no rows")
    return Problem(
        field="cleaning",
        message=f"no row is left; what each step took: {', '.join(took)}",
        remedy="look at the rows that the steps name, or loosen the rules",
    )
