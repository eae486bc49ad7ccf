"""Which parts of a request name something that a persona owns. One table, for all commands; pure.

For a caller who may act for some personas only. What the table does not know of is refused to such a caller: a command
whose texts are not all known here, and one that names nothing owned, unless it is about the house.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache

from msgspec import Struct
from msgspec import inspect as shape


class Owned(StrEnum):
    """What is named; the value is the kind of stream that says whose it is. PERSONA: the name says it itself."""

    PERSONA = "persona"
    JOB = "job"
    BUCKET = "bucket"
    LAYER = "layer"
    DATASET = "dataset"
    DRAFT = "draft"
    DEPLOYMENT = "deployment"
    INTERACTION = "interaction"
    BATCH = "review"
    ITEM = "item"
    RUN = "recipe"
    TASK = "self_task"
    ERRAND = "errand"
    FORGETTING = "forget"


class Guarded(StrEnum):
    """FOREIGN: leads out of what personas own. MODEL: a base model, which another's layer must not be."""

    FOREIGN = "foreign"
    MODEL = "model"


KEY, EACH = "<key>", "[]"
"""Steps of a path: the names of a mapping, and what is in a list or a mapping."""

OWNED: dict[str, Owned] = {
    "personaId": Owned.PERSONA,
    "personaIds": Owned.PERSONA,
    f"participants.{KEY}": Owned.PERSONA,
    "jobId": Owned.JOB,
    "train-status:sessionId": Owned.JOB,
    "bucketId": Owned.BUCKET,
    "layerId": Owned.LAYER,
    "layerIds": Owned.LAYER,
    "otherLayerId": Owned.LAYER,
    "datasetId": Owned.DATASET,
    "otherDatasetId": Owned.DATASET,
    "trainingFileId": Owned.DATASET,
    "validationFileId": Owned.DATASET,
    "draftId": Owned.DRAFT,
    "deploymentId": Owned.DEPLOYMENT,
    "interactionId": Owned.INTERACTION,
    "interactionIds": Owned.INTERACTION,
    "batchId": Owned.BATCH,
    "itemId": Owned.ITEM,
    "itemIds": Owned.ITEM,
    f"corrections.{KEY}": Owned.ITEM,
    "runId": Owned.RUN,
    "taskId": Owned.TASK,
    "errandId": Owned.ERRAND,
    "forgetId": Owned.FORGETTING,
}

GUARDED: dict[str, Guarded] = {
    "path": Guarded.FOREIGN,  # the daemon would read or write it with its own rights
    "datasetPath": Guarded.FOREIGN,
    "source": Guarded.FOREIGN,  # of traces, which are whose its section says
    "address": Guarded.FOREIGN,  # of a graph
    "namespace": Guarded.FOREIGN,
    "baseUrl": Guarded.FOREIGN,  # a key of the house would go there
    "baseModel": Guarded.MODEL,
    "tokenizer": Guarded.MODEL,
}

NEUTRAL = frozenset(
    {
        "accelerator", "apiKey", "apiToken", "columns", "command", "content", "context",
        "contribution", "correctedContribution", "correctedOutput", "corrections", "cursor", "domain", "drop",
        "encoder", "expectedOutput", "feedback", "format", "generator", "givenBy", "gpuType", "group",
        "groupBy", "hyperparameters", "input", "judge", "judgements", "key", "kind", "kinds", "metadata",
        "metric", "metrics", "model", "name", "nameContains", "names", "note", "notes", "options", "output",
        "outputRepoName", "params", "personaName", "personId", "project", "prompts", "provider", "providerId",
        "providerJobId", "reason", "recipe", "resultId", "results", "reviewer", "row", "rowId", "rowIds",
        "runName", "sessionId", "sha256", "since", "successMetric", "suffix", "system", "takenBy",
        "targetEncoder", "task", "thoughtStream", "tool_calls", "tools", "trainableModules", "traitType",
        "until", "version", "writtenBy",
    }
)  # fmt: skip
"""Names of texts that name nothing owned: words, choices, and ids that mean something only inside of what is owned."""

CONTENT = frozenset(
    {"input", "output", "tools", "results", "rows", "context", "messages", "prompt", "texts", "pairs", "stop"}
)
"""What a persona says or takes in; nothing in it is looked up."""

ABOUT_THE_HOUSE = frozenset(
    {"help", "preset-list", "preset-show", "provider-capabilities", "provider-list", "recipe-list"}
)
"""They tell of what is installed and configured, and need name nothing owned."""

OF_EVERYBODY = {"overview": "genome/job-list, genome/bucket-status and genome/layer-list tell of one persona"}
"""They count over all personas, whatever they are asked for: what to ask instead."""


class Place(Struct, frozen=True):
    """Where in the params something stands. path: steps from the top."""

    path: tuple[str, ...]
    holds: Owned | Guarded


class Plan(Struct, frozen=True):
    """What of a command's params is looked at. unknown: texts that the table does not know."""

    places: tuple[Place, ...]
    unknown: tuple[str, ...]

    @property
    def names_owned(self) -> bool:
        return any(isinstance(place.holds, Owned) for place in self.places)


class Claim(Struct, frozen=True):
    """One thing that a request names. field: its path on the wire."""

    field: str
    holds: Owned | Guarded
    name: str


def short(command: str) -> str:
    return command.removeprefix("genome/")


@cache
def plan_of(command: str, params: type[Struct]) -> Plan:
    places: list[Place] = []
    unknown: list[str] = []
    for path in sorted(set(_texts(shape.type_info(params), (), ()))):
        found = _holds(short(command), path)
        if found is not None:
            places.append(Place(path, found))
        elif not _is_neutral(path):
            unknown.append(_written(path))
    return Plan(places=tuple(places), unknown=tuple(unknown))


def claims(plan: Plan, given: object) -> list[Claim]:
    """Everything owned or guarded that the params name, as they came over the wire."""
    return [
        Claim(".".join(where), place.holds, name)
        for place in plan.places
        for where, name in _found(given, place.path, ())
    ]


def _found(value: object, path: tuple[str, ...], where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not path:
        if isinstance(value, str):
            yield where, value
        return
    step, rest = path[0], path[1:]
    match value:
        case dict() if step == KEY:
            yield from ((where, str(name)) for name in value)
        case dict() if step == EACH:
            for name, one in value.items():
                yield from _found(one, rest, (*where, str(name)))
        case dict() if step in value:
            yield from _found(value[step], rest, (*where, step))
        case list() if step == EACH:
            for at, one in enumerate(value):
                yield from _found(one, rest, (*where, str(at)))
        case _:
            return


def _texts(kind: shape.Type, path: tuple[str, ...], inside: tuple[type, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of everything in a type that can hold a text. Numbers and closed sets of words name nothing."""
    match kind:
        case shape.Metadata(type=inner):
            yield from _texts(inner, path, inside)
        case shape.UnionType(types=types):
            for one in types:
                yield from _texts(one, path, inside)
        case shape.StructType(cls=cls, fields=fields):
            if cls not in inside:
                for field in fields:
                    yield from _texts(field.type, (*path, field.encode_name), (*inside, cls))
        case shape.ListType(item_type=item) | shape.VarTupleType(item_type=item) | shape.SetType(item_type=item):
            yield from _texts(item, (*path, EACH), inside)
        case shape.DictType(key_type=key, value_type=value):
            yield from _texts(key, (*path, KEY), inside)
            yield from _texts(value, (*path, EACH), inside)
        case shape.BoolType() | shape.IntType() | shape.FloatType() | shape.NoneType():
            return
        case shape.EnumType() | shape.LiteralType():
            return
        case _:  # text, and whatever may hold it: raw JSON, any value, kinds of types that come later
            yield path


def _holds(command: str, path: tuple[str, ...]) -> Owned | Guarded | None:
    if CONTENT.intersection(path):
        return None
    named = [step for step in path if step != EACH]
    if not named:
        return None
    name = ".".join(named[-2:]) if named[-1] == KEY else named[-1]
    return OWNED.get(f"{command}:{name}") or OWNED.get(name) or GUARDED.get(name)


def _is_neutral(path: tuple[str, ...]) -> bool:
    named = [step for step in path if step not in (EACH, KEY)]
    return bool(CONTENT.intersection(path)) or (bool(named) and named[-1] in NEUTRAL)


def _written(path: tuple[str, ...]) -> str:
    return ".".join(path) or "(the whole)"
