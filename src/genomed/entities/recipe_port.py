"""The recipe port: what a recipe is asked, and what the engine gives it. Ours and those of plug-ins fulfil it.

A recipe plans work items, makes candidates of each, and says which are good and what they compile into. The engine owns
everything else: concurrency, rates, retries, budget, durability, review (reference/cogniverse-ragd-ucotron.md 4.4).

A module of `genomed.recipes` that defines RECIPE, or RECIPES where it has several, is a built-in; other distributions
name theirs in the entry-point group `genomed.recipes`, name -> `module:recipe`.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from genomed.entities.configuration import Scalar
from genomed.entities.rows import Message, Row
from genomed.entities.types import RowKind


class Need(StrEnum):
    """What a recipe cannot do without; the engine refuses a run before it starts where one is missing."""

    MODEL = "model"
    JUDGE = "judge"
    ENCODER = "encoder"
    TARGET_ENCODER = "target_encoder"
    INPUTS = "inputs"


KEY_MAX = 200


class WorkItem(Struct, frozen=True, kw_only=True):
    """One thing to do. key: unique in its run and the same whenever the run is planned again, of at most KEY_MAX
    printable characters. seed: of its draws.

    data: what the recipe wants to know again, as JSON. `data["group"]`, where it is there, is a text that related items
    share (their document, their pair of names): a split keeps the rows of one group on one side. In the same way
    `data["source"]` names the document or session it was made from, and `data["session_id"]` and `data["person_id"]`
    whose words these are, so that they can be forgotten.
    """

    key: str
    seed: int
    data: dict[str, object]


class Completion(Struct, frozen=True, kw_only=True):
    """An answer of a language model. Tokens are null where the server does not count them."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str
    finish_reason: str | None = None


class Candidate(Struct, frozen=True, kw_only=True):
    """A row somebody made, not yet checked. notes: scalars worth keeping with it (tries, template, category)."""

    row: Row
    confidence: float | None = None
    notes: dict[str, Scalar] = {}


class Finding(Struct, frozen=True, kw_only=True):
    """What the checks say of a candidate. reasons: sentences that quote none of the row's words. confidence: 0 to 1.

    suggestion: a judge's advice, `approve` or `reject`. It decides nothing.
    """

    ok: bool
    reasons: tuple[str, ...] = ()
    confidence: float | None = None
    suggestion: str | None = None


class Asking(Protocol):
    """A language model as recipes see it. Limits, retries, Retry-After, tokens and money are the engine's."""

    async def __call__(
        self,
        messages: Sequence[Message],
        *,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        as_json: bool = False,
        stop: Sequence[str] = (),
    ) -> Completion: ...


class Encoding(Protocol):
    """An encoder: one vector of unit length per text, all of one size."""

    async def __call__(self, texts: Sequence[str]) -> list[tuple[float, ...]]: ...


class Tools(Struct, frozen=True, kw_only=True):
    """What `produce` may use. draw: seeded by the work item, so that a repeated item draws the same.

    inputs: the run's inputs once more, for recipes that look things up among them (a corpus to search).
    encode_target: the second encoder, where a recipe learns to lead one space into another.
    """

    draw: random.Random
    ask: Asking | None
    judge: Asking | None
    encode: Encoding | None
    inputs: Callable[[], Iterator[Mapping[str, object]]]
    template: Callable[[str], str]
    encode_target: Encoding | None = None


class Measured(Struct, frozen=True, kw_only=True, rename="camel"):
    """One number of a task metric. rows: over how many; null value: nothing to measure."""

    name: str
    value: float | None
    rows: int


class TaskMetric(Protocol):
    """Compares what a model answered with what was expected, row by row as texts. Pure."""

    name: str

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]: ...


class Recipe(Protocol):
    """version: changes whenever the same params and seed would give other rows. templates: its prompts by name, as its
    package brings them; `Tools.template` gives them by the same names. task: the schema name of its records; the recipe
    owns that schema and its prompt.
    """

    name: str
    version: str
    summary: str
    task: str
    output: tuple[RowKind, ...]
    needs: frozenset[Need]
    templates: Mapping[str, str]
    Params: type[Struct]

    def plan(
        self, params: Struct, *, inputs: Iterable[Mapping[str, object]], wanted: int, seed: int
    ) -> Iterator[WorkItem]:
        """Deterministic: the same arguments give the same items. Raises InvalidRequest for inputs it cannot use.

        There may be more items than `wanted` rows need: the later ones stand in for those whose candidates fail, and
        whoever runs the plan stops when there are enough.
        """
        ...

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        """Candidates of one item; none is an honest answer. Raises ValueError for an answer nobody can read: the engine
        tries again.
        """
        ...

    async def again(
        self, candidate: Row, item: WorkItem, params: Struct, tools: Tools, *, feedback: str | None
    ) -> Candidate | None:
        """Another try at a rejected row, with the reviewer's words; None where this recipe cannot."""
        ...

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding: ...

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        """The rows of this kind that a trainer learns from; the row itself where it is of that kind already."""
        ...

    def metrics(self) -> Sequence[TaskMetric]: ...
