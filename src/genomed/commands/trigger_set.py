"""genome/trigger-set: when a bucket's examples become a job by themselves, and how that job is configured."""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.commands.lessons import BUCKET_ROWS
from genomed.entities.bucket import Bucket, bucket_id
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.experience_events import TriggerSet
from genomed.entities.facts import BucketKey
from genomed.entities.guards import Tightened, tightened
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

NAME = "genome/trigger-set"
SUMMARY = "Set the rule by which a bucket starts jobs by itself."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """rule: whole; what is left out takes its default, not the bucket's former value."""

    persona_id: PersonaName
    domain: Name
    base_model: Name | None = None
    rule: TriggerRule = TriggerRule()


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """rule: as it was set. tightened: what of it guards change when it is carried out."""

    bucket_id: str
    rule: TriggerRule
    tightened: tuple[Tightened, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for a provider that does not exist, InvalidRequest without a base model, or for rows that no
    bucket gives.
    """
    context.providers.get(params.rule.provider)
    base_model = params.base_model or context.default_base_model
    problems = []
    if base_model is None:
        problems.append(Problem(field="baseModel", message="is required: the daemon has no default base model"))
    if params.rule.row_kind not in BUCKET_ROWS:
        told = f"must be one of {', '.join(BUCKET_ROWS)}: a bucket's examples give no {params.rule.row_kind} rows"
        problems.append(Problem(field="rule.rowKind", message=told))
    if base_model is None or problems:
        raise InvalidRequest.of(problems)
    key = BucketKey(persona_id=params.persona_id, domain=params.domain, base_model=base_model)
    own = bucket_id(key)
    loaded = await context.log.load(f"bucket/{own}")
    _, changed = tightened(params.rule, context.guards.of(params.persona_id))
    same = isinstance(loaded.state, Bucket) and loaded.state.rule == params.rule
    events = () if same else (TriggerSet(bucket=key, rule=params.rule),)
    return Decided(
        result=Result(bucket_id=own, rule=params.rule, tightened=changed),
        writes=(Write(stream=f"bucket/{own}", expected=loaded.version, events=events),) if events else (),
    )
