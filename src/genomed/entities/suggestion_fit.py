"""Suggestions as one provider takes them: within its ranges, of its words, and beside what a caller chose. Pure."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.configuration import Scalar
from genomed.entities.narrowing import Narrowed, narrowed
from genomed.entities.suggestions import Suggestion


class LeftOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A suggestion that is not in the configuration, and why."""

    field: str
    value: Scalar
    source: str
    reason: str


class Fitted(Struct, frozen=True, kw_only=True):
    taken: tuple[Suggestion, ...]
    left_out: tuple[LeftOut, ...]


def fitted(found: Sequence[Suggestion], able: ProviderCapabilities, *, given: Collection[str]) -> Fitted:
    """given: paths that the caller set; they stand."""
    facts = narrowed(able)
    taken: list[Suggestion] = []
    left_out: list[LeftOut] = []
    for one in found:
        reason = _refusal(one, able, facts, given)
        if reason is None:
            taken.append(_within(one, able, facts))
        else:
            left_out.append(because(one, reason))
    return Fitted(taken=tuple(taken), left_out=tuple(left_out))


def because(one: Suggestion, reason: str) -> LeftOut:
    return LeftOut(field=one.field, value=one.value, source=one.source, reason=reason)


def with_suggestions(configuration: Mapping[str, object], taken: Sequence[Suggestion]) -> dict[str, object]:
    """The configuration as JSON with each suggestion in its place. What stands in a section stays."""
    whole = _copied(configuration)
    for one in taken:
        *sections, name = one.field.split(".")
        place = whole
        for section in sections:
            inner = place.get(section)
            inner = dict(inner) if isinstance(inner, dict) else {}
            place[section] = inner
            place = inner
        place[name] = one.value
    return whole


def _copied(configuration: Mapping[str, object]) -> dict[str, object]:
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in configuration.items()}


def _refusal(one: Suggestion, able: ProviderCapabilities, facts: Narrowed, given: Collection[str]) -> str | None:
    section, _, name = one.field.partition(".")
    if one.field in given:
        return "you set it yourself"
    if section == "metadata" and name not in able.custom_parameters:
        return f"{able.provider} has no such parameter"
    choices = facts.choices.get(one.field)
    if choices and one.value not in choices:
        return f"{able.provider} takes {', '.join(choices)}"
    return None


def _within(one: Suggestion, able: ProviderCapabilities, facts: Narrowed) -> Suggestion:
    limits = facts.ranges.get(one.field)
    if limits is None or isinstance(one.value, str | bool) or one.value is None:
        return one
    value = min(max(one.value, limits.min), limits.max)
    if value == one.value:
        return one
    made = int(value) if isinstance(one.value, int) else float(value)
    told = f"{one.value:g} in the source; {able.provider} takes {limits.min:g} to {limits.max:g}"
    return replace(one, value=made, note=f"{told}; {one.note}" if one.note else told)
