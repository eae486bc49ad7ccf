"""What became of every setting of a configuration, also where it was refused. Pure."""

from collections.abc import Sequence

from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration, Scalar
from genomed.entities.errors import Problem
from genomed.entities.facts import EffectiveField
from genomed.entities.validation import value_at

ROOT = "configuration."
NEEDED = ("model.baseModel", "datasets.trainingFileId", "method.type")
"""A job cannot be without these: they are changed, not dropped."""


def with_refusals(
    fields: Sequence[EffectiveField],
    errors: Sequence[Problem],
    configuration: JobConfiguration,
    *,
    asked: Sequence[str],
) -> tuple[EffectiveField, ...]:
    """`fields` with those that `errors` name marked as refused, and why.

    fields: what the provider made of the configuration; empty where it could make nothing of it, and then only what
    was refused can be told. An error about a whole section refuses what was asked for in it.
    """
    account = {field.field: field for field in fields}
    known = dict.fromkeys([*account, *CONFIGURATION_FIELDS, *asked])
    reasons: dict[str, list[str]] = {}
    for problem in errors:
        if not problem.field.startswith(ROOT):
            continue
        path = problem.field.removeprefix(ROOT).partition("[")[0]
        inside = [one for one in known if one.startswith(f"{path}.") and one in asked]
        for refused in [path] if path in known or not inside else inside:
            reasons.setdefault(refused, []).append(problem.message)
    for path, why in reasons.items():
        account[path] = EffectiveField(
            field=path,
            asked=_leaf(value_at(configuration, path)) if path in asked else None,
            disposition="refused",
            note="; ".join(why),
        )
    return tuple(account.values())


def droppable(errors: Sequence[Problem], configuration: JobConfiguration) -> tuple[str, ...]:
    """The refused settings that a configuration can be without."""
    paths = dict.fromkeys(
        one.field.removeprefix(ROOT).partition("[")[0] for one in errors if one.field.startswith(ROOT)
    )
    outer = [path for path in paths if not any(path.startswith(f"{other}.") for other in paths)]
    return tuple(path for path in outer if path not in NEEDED and value_at(configuration, path) is not None)


def _leaf(value: object) -> Scalar | tuple[str, ...]:
    """As the account of what was sent holds it; a section has no value of its own."""
    match value:
        case None | str() | int() | float() | bool():
            return value
        case list() | tuple():
            return tuple(str(item) for item in value)
        case _:
            return None
