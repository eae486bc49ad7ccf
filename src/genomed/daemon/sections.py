"""The sections of the daemon's configuration that are nobody else's: limits, access, learning, courier, policies."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from genomed.entities.configuration import REFERENCE
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

Seconds = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """body_bytes: of one request. bus_batch: requests in one JSON-RPC batch. idle_heartbeat_s: of event streams."""

    body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 8 * 1024 * 1024
    bus_batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    idle_heartbeat_s: Seconds = 15.0
    subscriber_buffer_bytes: Annotated[int, Meta(ge=4096)] = 256 * 1024


class Access(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """roles: uid (as text) -> role. The daemon's own uid and root are admin; anybody not named is refused."""

    roles: dict[str, Role] = {}


class Learning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base_model: for captures that name none. trigger: the rule of buckets without one of their own."""

    base_model: str | None = None
    trigger: TriggerRule = TriggerRule()


class Courier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """slots: jobs at a time by provider; not named: no limit. poll_s: seconds between polls by provider.

    questions: how many questions one provider is asked at the same time, whatever the number of its jobs.
    """

    slots: dict[str, Annotated[int, Meta(ge=1)]] = field(default_factory=lambda: {"local": 1})
    poll_s: dict[str, Seconds] = field(default_factory=lambda: {"local": 0.5, "simulated": 0.05})
    default_poll_s: Seconds = 15.0
    questions: Annotated[int, Meta(ge=1, le=1000)] = 8


class ProviderPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator allows of one provider.

    confirm: jobs that triggers start wait for an operator; not given: where a job costs money. What an agent (role
    capture) asks for always waits, whatever this says.
    personal_data: what happens to it in rows on their way out: `redact`, `block` or `allow`.
    """

    confirm: bool | None = None
    personal_data: Literal["redact", "block", "allow"] = "redact"


class SecretPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """allowed: references that jobs may name for their integrations, and so send to where the job says."""

    allowed: tuple[Annotated[str, Meta(pattern=REFERENCE)], ...] = ()
