"""Whether a translation keeps its books: random wishes, and the two sides of a payload held against each other.

Values are compared, not names, since every provider has names of its own. Knows no provider.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from hypothesis import strategies as st

from genomed.entities.capabilities import ParameterDefinition, ParameterType, ProviderCapabilities, Translation
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.limits import RANGED_FIELDS, range_of
from genomed.entities.placeholders import GAP
from genomed.entities.types import TrainOnInputs

DISPOSITIONS = {"sent", "defaulted", "adjusted", "not_applicable"}
WHOLE_NUMBERS = {path for path in RANGED_FIELDS if path.startswith("schedule.") or path.endswith(".rank")}

MOST_CHOSEN = 8
ALWAYS = {"model.baseModel", "datasets.trainingFileId", "method.type"}

WANDB = ({"project": "wandb-project"}, {"project": "p2", "runName": "run-9", "apiKey": "env:WANDB"})

Wish = dict[str, object]


def wishes(configuration: JobConfiguration, able: ProviderCapabilities) -> st.SearchStrategy[Wish]:
    """Configurations as a caller writes them: a few fields set, within what the provider says that it can do.

    It may refuse them yet.
    """
    choices = _choices(configuration, able)
    chosen = st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=MOST_CHOSEN)
    base: dict[str, object] = {
        "model.baseModel": configuration.model.base_model,
        "datasets.trainingFileId": configuration.datasets.training_file_id,
        "method.type": configuration.method.type.value,
        **{f"metadata.{name}": value for name, value in configuration.metadata.items()},
    }
    return chosen.flatmap(lambda paths: st.fixed_dictionaries({path: choices[path] for path in paths})).map(
        lambda leaves: _tree({**base, **leaves})
    )


def without(wish: Wish, refused: Sequence[Problem]) -> Wish:
    """The wish less what was refused, by the fields that the refusals name."""
    kept = {path: value for path, value in _plain(wish, "") if path in ALWAYS or not is_named(path, refused)}
    return _tree(kept)


def is_named(path: str, refused: Sequence[Problem]) -> bool:
    """By itself, or by the section that it is in."""
    named = [problem.field.removeprefix("configuration.").partition("[")[0] for problem in refused]
    return any(path == name or path.startswith(f"{name}.") for name in named)


def field_problems(made: Translation, configuration: JobConfiguration, asked: Sequence[str]) -> list[str]:
    """What is wrong with the list of fields by itself."""
    told = [entry.field for entry in made.fields]
    wanted = {*CONFIGURATION_FIELDS, *(f"metadata.{name}" for name in configuration.metadata)}
    found = [f"{path} is told twice" for path in set(told) if told.count(path) > 1]
    found += [f"{path} is not accounted for" for path in wanted if path not in told]
    for entry in made.fields:
        named = any(one == entry.field or one.startswith(f"{entry.field}.") for one in asked)
        wished = named or entry.field.removeprefix("metadata.") in configuration.metadata
        if entry.disposition not in DISPOSITIONS:
            found.append(f"{entry.field} is {entry.disposition!r}, which is no disposition")
        if entry.asked is not None and not wished:
            found.append(f"{entry.field} is said to be asked for, and nobody did")
        if entry.asked is not None and entry.disposition not in {"sent", "adjusted"}:
            found.append(f"{entry.field} was asked for and is {entry.disposition}: dropped in silence")
        if entry.disposition == "adjusted" and not entry.note:
            found.append(f"{entry.field} is adjusted without a word why")
        if entry.disposition == "sent" and entry.asked != entry.sent:
            found.append(f"{entry.field} is said to be sent as asked, and is not")
    return found


def unsent_problems(made: Translation, done_anyway: Mapping[str, str]) -> list[str]:
    """What was asked for, and of which nothing goes out: it should have been refused."""
    return [
        f"{entry.field} = {entry.asked!r} was let pass, and nothing of it is sent: {entry.note}"
        for entry in made.fields
        if entry.asked not in {None, ()} and entry.sent is None and entry.field not in done_anyway
    ]


def payload_problems(
    made: Translation,
    configuration: JobConfiguration,
    *,
    written_by_us: Mapping[str, str],
    carried_elsewhere: Mapping[str, str],
) -> list[str]:
    """Leaves that nobody said, and fields that are said to be sent and are in no leaf."""
    leaves = [(path, value) for path, value in _leaves(made.payload) if value is not None]
    said = [value for entry in made.fields for value in _items(entry.sent) if value is not None]
    said += [value for _, value in _leaves(msgspec.to_builtins(configuration)) if value is not None]
    found = [
        f"payload {path} = {value!r}: no field of the configuration says that"
        for path, value in leaves
        if not _under(path, written_by_us)
        and not (isinstance(value, str) and GAP.search(value))
        and not any(_same(value, each) for each in said)
    ]
    for entry in made.fields:
        if entry.disposition == "not_applicable" or entry.field in carried_elsewhere:
            continue
        found += [
            f"{entry.field} is {entry.disposition} as {value!r}, which the payload does not hold"
            for value in _items(entry.sent)
            if value is not None and not any(_same(leaf, value) for _, leaf in leaves)
        ]
    return found


def _under(path: str, patterns: Mapping[str, str]) -> bool:
    return any(path == pattern or path.startswith(f"{pattern}.") for pattern in patterns)


def _same(leaf: object, value: object) -> bool:
    """Letters' case aside; a text may hold the value among others, as a name with a suffix does."""
    if isinstance(leaf, bool) or isinstance(value, bool):
        return leaf is value
    if isinstance(leaf, int | float) and isinstance(value, int | float):
        return math.isclose(leaf, value, rel_tol=1e-9)
    return str(value).casefold() in str(leaf).casefold()


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, path)
    else:
        yield path, value


def _plain(tree: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """The leaves by path; a list is a leaf."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _plain(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _tree(leaves: Mapping[str, object]) -> Wish:
    tree: Wish = {}
    for path, value in leaves.items():
        *sections, name = path.split(".")
        at = tree
        for section in sections:
            inner = at.setdefault(section, {})
            assert isinstance(inner, dict)
            at = inner
        at[name] = value
    return tree


def _choices(configuration: JobConfiguration, able: ProviderCapabilities) -> dict[str, st.SearchStrategy[object]]:
    """What may be set, by path."""
    words: dict[str, Sequence[str]] = {
        "method.type": able.supported_methods,
        "model.precision": able.supported_precisions,
        "optimizer.scheduler.type": able.supported_schedulers,
        "schedule.trainOnInputs": tuple(TrainOnInputs),
        "output.suffix": ("mine", "my-layer.v2"),
        "method.loraConfig.trainableModules": ("all-linear", "q_proj,v_proj"),
        "hardware.gpuType": ("h100",),
    }
    choices: dict[str, st.SearchStrategy[object]] = {
        path: st.sampled_from([str(word) for word in some]) for path, some in words.items() if some
    }
    choices |= {path: _number(path, able) for path in RANGED_FIELDS}
    choices["hardware.numGPUs"] = st.integers(1, 8)
    choices["integrations.wandb"] = st.sampled_from(WANDB)
    choices["integrations.huggingface"] = st.just({"apiToken": "env:HF", "outputRepoName": "me/repo"})
    if able.supported_optimizations:
        feature = st.sampled_from([str(feature) for feature in able.supported_optimizations])
        choices["optimizations.enabled"] = st.lists(feature, unique=True, max_size=3)
    choices |= {
        f"metadata.{name}": _parameter(definition)
        for name, definition in able.custom_parameters.items()
        if name not in configuration.metadata
    }
    return choices


def _number(path: str, able: ProviderCapabilities) -> st.SearchStrategy[float]:
    section, name = RANGED_FIELDS[path]
    limits = able.parameter_ranges.get(section, {}).get(name, range_of(path))
    standing = range_of(path).default
    written_out: st.SearchStrategy[float] = st.nothing()
    if standing is not None and limits.min <= standing <= limits.max:
        written_out = st.just(standing)  # the default, asked for by its value
    if path in WHOLE_NUMBERS:
        return written_out.map(int) | st.integers(math.ceil(limits.min), math.floor(limits.max))
    return written_out | st.floats(limits.min, limits.max, allow_subnormal=False)


def _parameter(definition: ParameterDefinition) -> st.SearchStrategy[object]:
    match definition.type:
        case ParameterType.BOOLEAN:
            return st.booleans()
        case ParameterType.ENUM:
            return st.sampled_from(definition.enum_values)
        case ParameterType.STRING:
            return st.text("abcdefgh-", min_size=1, max_size=12)
        case ParameterType.NUMBER:
            low, high = definition.min or 0.0, definition.max if definition.max is not None else 1000.0
            whole = st.integers(math.ceil(low), max(math.ceil(low), math.floor(high)))
            return st.one_of(whole, st.floats(low, high, allow_subnormal=False))
