"""What changes for a job that moves from one provider to another: field by field, feature by feature. Pure."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from genomed.entities.capabilities import Features
from genomed.entities.checking import convert
from genomed.entities.configuration import JobConfiguration, Scalar
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import EffectiveField

METADATA = "metadata."


class FieldChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """One setting there and here. change: `same`, `changed`, `refused`, `dropped` or `new`.

    before, after: how it was and would be treated (`sent`, `defaulted`, `adjusted`, `not_applicable`, `refused`); null
    where the provider's account does not have it. note: what the new provider says of it.
    """

    field: str
    change: str
    asked: Scalar | tuple[str, ...] = None
    before: str | None = None
    sent_before: Scalar | tuple[str, ...] = None
    after: str | None = None
    sent_after: Scalar | tuple[str, ...] = None
    note: str | None = None


class FeatureChange(Struct, frozen=True, kw_only=True, rename="camel"):
    """before null: the old provider is not allowed here any more, so that it cannot be asked."""

    feature: str
    before: bool | str | None
    after: bool | str


def field_changes(
    before: Sequence[EffectiveField], after: Sequence[EffectiveField], *, dropped: Sequence[str]
) -> tuple[FieldChange, ...]:
    """Every field that either account has; what changes for the worse comes first."""
    old, new = {one.field: one for one in before}, {one.field: one for one in after}
    changes = [_field_change(path, old.get(path), new.get(path), dropped) for path in dict.fromkeys([*new, *old])]
    order = ("refused", "dropped", "changed", "new", "same")
    return tuple(sorted(changes, key=lambda one: order.index(one.change)))


def _field_change(
    path: str, old: EffectiveField | None, new: EffectiveField | None, dropped: Sequence[str]
) -> FieldChange:
    if new is not None and new.disposition == "refused":
        change = "refused"
    elif any(_within(path, one) for one in dropped):
        change = "dropped"
    elif old is None:
        change = "new"
    elif new is not None and (old.sent, _applies(old)) == (new.sent, _applies(new)):
        change = "same"
    else:
        change = "changed" if new is not None or old.sent is not None else "same"
    return FieldChange(
        field=path,
        change=change,
        asked=new.asked if new is not None and new.asked is not None else old.asked if old is not None else None,
        before=old.disposition if old else None,
        sent_before=old.sent if old else None,
        after=new.disposition if new else None,
        sent_after=new.sent if new else None,
        note=new.note if new else None,
    )


def _applies(field: EffectiveField) -> bool:
    return field.disposition != "not_applicable"


def feature_changes(before: Features | None, after: Features) -> tuple[FeatureChange, ...]:
    old: dict[str, bool | str] = msgspec.to_builtins(before) if before is not None else {}
    new: dict[str, bool | str] = msgspec.to_builtins(after)
    return tuple(FeatureChange(feature=name, before=old.get(name), after=able) for name, able in new.items())


class Moved(Struct, frozen=True, kw_only=True):
    """A configuration for another provider, and which of its paths the caller has chosen."""

    configuration: JobConfiguration
    asked: tuple[str, ...]


def moved(
    configuration: JobConfiguration,
    asked: Sequence[str],
    *,
    base_model: str | None,
    metadata: dict[str, Scalar],
    drop: Sequence[str],
) -> Moved:
    """The same configuration with another base model and without what is dropped, which then is as it is by default.

    metadata: added to the old parameters, or in place of them. Raises InvalidRequest for a path that is not there, and
    for one that no job can do without.
    """
    tree: dict[str, object] = msgspec.to_builtins(configuration)
    absent = [path for path in drop if not _take_out(tree, path)]
    if absent:
        raise InvalidRequest.of(
            [Problem(field="drop", message=f"{path} is not in the job's settings") for path in absent]
        )
    kept = [path for path in asked if not any(_within(path, one) for one in drop)]
    if base_model is not None:
        tree["model"] = {**_section(tree, "model"), "baseModel": base_model}
        kept.append("model.baseModel")
    tree["metadata"] = {**_section(tree, "metadata"), **metadata}
    kept += [f"{METADATA}{name}" for name in metadata]
    return Moved(configuration=convert(tree, JobConfiguration, root="configuration"), asked=tuple(dict.fromkeys(kept)))


def _within(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def _take_out(tree: dict[str, object], path: str) -> bool:
    """Whether it was there. A parameter's name may hold dots; everything else nests."""
    parent, leaf = (METADATA[:-1], path.removeprefix(METADATA)) if path.startswith(METADATA) else _split(path)
    inner: object = tree
    for part in parent.split(".") if parent else ():
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or inner.get(leaf) is None:
        return False
    del inner[leaf]
    return True


def _split(path: str) -> tuple[str, str]:
    parent, _, leaf = path.rpartition(".")
    return parent, leaf


def _section(tree: dict[str, object], name: str) -> dict[str, object]:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}
