"""What an operator lets no agent lower: the limits of learning from one's own work, for everybody and per persona.

Pure. Knows settings and rules; which rows there are is `row_guards`'s, who consented `consent`'s.
Source: reference/ecosystem-security.md 8, "Data".
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.entities.cleaning import CleaningRules
from genomed.entities.trigger_rule import YEAR_S, TriggerRule

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
QuotaKind = Literal["session", "trace", "agent", "tool"]

FROM_THE_NET = ("web", "web?*", "browse*", "fetch*", "http*", "url*", "scrape*", "crawl*")
"""Names of tools that bring in what strangers wrote, as agents commonly call them; an operator may say it better."""


class Quota(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one source may give at most. max_share, max_rows: of one dataset; max_rows_per_day: of all of a UTC day."""

    max_share: Share | None = None
    max_rows: Count | None = None
    max_rows_per_day: Count | None = None


class PersonaGuards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[guards.personas.NAME]`: what is given here holds for that persona in place of what holds for all."""

    min_cooldown_s: Annotated[float, Meta(ge=0, le=YEAR_S)] | None = None
    min_examples: Annotated[int, Meta(ge=0, le=1000)] | None = None
    min_held_out_share: Annotated[float, Meta(ge=0, le=0.5)] | None = None
    max_jobs_per_day: Count | None = None
    max_self_generated_share: Share | None = None
    self_generated_by: Literal["agents", "everybody"] | None = None
    max_recipe_share: Annotated[float, Meta(gt=0, le=1)] | None = None
    consent: bool | None = None
    quotas: dict[QuotaKind, Quota] | None = None
    untrusted_tools: tuple[Pattern, ...] | None = None
    trusted_tools: tuple[Pattern, ...] | None = None
    untrusted_sources: tuple[Pattern, ...] | None = None
    trusted_sources: tuple[Pattern, ...] | None = None


class Guards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[guards]`: only the operator's configuration sets it, and it wins over every rule, job and request.

    min_cooldown_s, min_examples, min_held_out_share: of triggers and of what agents ask for. max_jobs_per_day: that
    triggers and agents start, of one persona and UTC day. max_self_generated_share: of a dataset's rows, those whose
    answer the persona wrote itself and nobody else judged; self_generated_by: whose captures can be such, only those of
    agents (role capture) or everybody's. max_recipe_share: of rows that recipes wrote. consent: rows leave the house
    only for a persona and a provider that an operator said yes to. quotas: by kind of source.

    untrusted_tools, untrusted_sources, without the trusted ones: whose words wait in quarantine (shell patterns).
    """

    min_cooldown_s: Annotated[float, Meta(ge=0, le=YEAR_S)] = 0.0
    min_examples: Annotated[int, Meta(ge=0, le=1000)] = 10
    min_held_out_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.05
    max_jobs_per_day: Count | None = None
    max_self_generated_share: Share = 0.5
    self_generated_by: Literal["agents", "everybody"] = "agents"
    max_recipe_share: Annotated[float, Meta(gt=0, le=1)] | None = None
    consent: bool = True
    quotas: dict[QuotaKind, Quota] = {}
    untrusted_tools: tuple[Pattern, ...] = FROM_THE_NET
    trusted_tools: tuple[Pattern, ...] = ()
    untrusted_sources: tuple[Pattern, ...] = ()
    trusted_sources: tuple[Pattern, ...] = ()
    personas: dict[str, PersonaGuards] = {}

    def of(self, persona_id: str) -> "Guards":
        """What holds for one persona."""
        own = self.personas.get(persona_id)
        if own is None:
            return self
        given = {name: getattr(own, name) for name in own.__struct_fields__}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


class Tightened(Struct, frozen=True, kw_only=True, rename="camel"):
    """A setting that a guard raised or lowered. field: on the wire. asked, given: before and after."""

    guard: str
    field: str
    asked: float
    given: float

    @property
    def sentence(self) -> str:
        return f"{self.guard} makes {self.field} {self.given:g}, not {self.asked:g}"


def tightened(rule: TriggerRule, guards: Guards) -> tuple[TriggerRule, tuple[Tightened, ...]]:
    """The rule as it may be carried out, and what of it is not as it was set."""
    fewest = guards.min_examples
    floors: Sequence[tuple[str, str, str, float]] = (
        ("min_cooldown_s", "cooldown_s", "cooldownS", guards.min_cooldown_s),
        ("min_examples", "min_examples", "minExamples", fewest),
        ("min_examples", "high_quality_examples", "highQualityExamples", fewest),
        ("min_examples", "wait_min_examples", "waitMinExamples", fewest),
        ("min_examples", "max_examples", "maxExamples", fewest),
        ("min_held_out_share", "held_out_share", "heldOutShare", guards.min_held_out_share),
    )
    told = [
        (attribute, Tightened(guard=guard, field=field, asked=getattr(rule, attribute), given=floor))
        for guard, attribute, field, floor in floors
        if getattr(rule, attribute) < floor
    ]
    changed = {attribute: type(getattr(rule, attribute))(one.given) for attribute, one in told}
    return replace(rule, **changed) if changed else rule, tuple(one for _, one in told)


def tightened_rules(rules: CleaningRules, guards: Guards) -> tuple[CleaningRules, tuple[Tightened, ...]]:
    """A draft's own cleaning with the operator's ceiling for rows that recipes wrote."""
    ceiling, asked = guards.max_recipe_share, rules.max_self_generated_share
    if ceiling is None or (asked is not None and asked <= ceiling):
        return rules, ()
    told = Tightened(
        guard="max_recipe_share", field="maxSelfGeneratedShare", asked=1.0 if asked is None else asked, given=ceiling
    )
    return replace(rules, max_self_generated_share=ceiling), (told,)


def untrusted(marks: Iterable[str], guards: Guards, *, declared: Iterable[str] = ()) -> tuple[str, ...]:
    """Which of those who wrote part of an interaction are not to be learned from before an operator looked.

    marks: `tool:NAME`, `trace:SOURCE`, `agent:ACTOR`, as the recording shows them. declared: what the agent itself
    called foreign; it stays so unless the operator trusts that very name, whatever the patterns of untrusted ones say.
    """
    asked = tuple(declared)
    found = [mark for mark in marks if _distrusted(mark, guards)]
    found += [mark for mark in asked if not _trusted(mark, guards)]
    return tuple(dict.fromkeys(found))


def _distrusted(mark: str, guards: Guards) -> bool:
    kind, _, name = mark.partition(":")
    if kind == "tool":
        return _matches(name, guards.untrusted_tools) and not _trusted(mark, guards)
    return _matches(mark, guards.untrusted_sources) and not _trusted(mark, guards)


def _trusted(mark: str, guards: Guards) -> bool:
    kind, _, name = mark.partition(":")
    if kind == "tool" and _matches(name, guards.trusted_tools):
        return True
    return _matches(mark, guards.trusted_sources)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
