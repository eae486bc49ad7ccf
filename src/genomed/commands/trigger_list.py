"""genome/trigger-list: the rule of every bucket, and the default for those without one."""

from msgspec import Struct

from genomed.commands.bucket_state import bucket_ids, bucket_state
from genomed.commands.context import Context
from genomed.entities.configuration import Name
from genomed.entities.readiness import ReadinessCode
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

NAME = "genome/trigger-list"
SUMMARY = "List the triggers and what each waits for."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    persona_id: Name | None = None


class TriggerView(Struct, frozen=True, kw_only=True, rename="camel"):
    bucket_id: str
    persona_id: str
    domain: str
    base_model: str
    code: ReadinessCode
    reason: str
    rule_is_default: bool
    rule: TriggerRule


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    triggers: tuple[TriggerView, ...]
    default: TriggerRule
    as_of: int


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    views = []
    for one in await bucket_ids(context, persona_id=params.persona_id):
        state = await bucket_state(context, one)
        views.append(
            TriggerView(
                bucket_id=one,
                persona_id=state.key.persona_id,
                domain=state.key.domain,
                base_model=state.key.base_model,
                code=state.readiness.code,
                reason=state.readiness.reason,
                rule_is_default=state.bucket is None or state.bucket.rule is None,
                rule=state.rule,
            )
        )
    return Result(triggers=tuple(views), default=context.default_rule, as_of=as_of)
