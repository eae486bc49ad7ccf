"""The sections of the daemon's configuration that are nobody else's: limits, access, learning, courier, policies."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from genomed.daemon.journal.ballast import DEFAULT_BYTES
from genomed.entities.configuration import REFERENCE
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

Seconds = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one client may take.

    body_bytes: of one request. bus_batch: requests in one JSON-RPC batch. idle_heartbeat_s: of event streams.
    bus_heartbeat_s: between pings on the bus; whoever answers none for half of that is gone.
    subscriber_buffer_bytes: kept for a subscriber who does not read, and two portions of 64 KiB more. stall_s: how
    long, before it is sent away.
    connections: open at a time, fewer where the process may open fewer files. silent_s: how long a connection may say
    nothing from its beginning; idle_s: between two requests.
    """

    body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 8 * 1024 * 1024
    bus_batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    idle_heartbeat_s: Seconds = 15.0
    bus_heartbeat_s: Seconds = 30.0
    subscriber_buffer_bytes: Annotated[int, Meta(ge=4096)] = 128 * 1024
    stall_s: Seconds = 30.0
    connections: Annotated[int, Meta(ge=8, le=1_000_000)] = 4096
    silent_s: Seconds = 60.0
    idle_s: Seconds = 900.0


class TcpAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A door on TCP beside the socket; there is none unless this section is there.

    host: an address of this machine itself, unless force. token: the reference of the administrator's token, which is
    made where a file is named that does not exist; persona tokens are taken too. hosts: names beside this machine's
    own by which the door may be called. origins: pages from which a browser may call it; none by default.
    """

    port: Annotated[int, Meta(ge=1, le=65535)]
    token: Annotated[str, Meta(pattern=REFERENCE)]
    host: str = "127.0.0.1"
    force: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Access(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may do what. Root is admin; anybody not named here is refused; of several roles the highest counts.

    roles: uid (as text) -> role. groups: name or number -> role of its members. personas: uid or `group:NAME` -> whom
    they may act for and read of; whoever is in none of them: everybody. own_uid: the role of the daemon's own uid, or
    `none` where its agents hold tokens. socket_group: whose members may open the socket too.
    """

    roles: dict[str, Role] = {}
    groups: dict[str, Role] = {}
    personas: dict[str, tuple[str, ...]] = {}
    own_uid: Literal["none", "read", "capture", "operate", "admin"] = "admin"
    socket_group: str | None = None
    tcp: TcpAccess | None = None


class Disk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ballast_bytes: lies in the data folder and is given back when the disk is full, so that the daemon can still
    record how running work ends; a sixteenth of the disk at most. 0: none.
    """

    ballast_bytes: Annotated[int, Meta(ge=0, le=1 << 34)] = DEFAULT_BYTES


class Learning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base_model: for captures that name none. trigger: the rule of buckets without one of their own."""

    base_model: str | None = None
    trigger: TriggerRule = TriggerRule()


class Courier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """slots: jobs at a time by provider; not named: no limit. poll_s: seconds between polls by provider.

    questions: how many questions one provider is asked at the same time, whatever the number of its jobs.
    errands: pieces of work on layers (merge, export, quantize, evaluate, upload) that run here at the same time.
    """

    slots: dict[str, Annotated[int, Meta(ge=1)]] = field(default_factory=lambda: {"local": 1})
    poll_s: dict[str, Seconds] = field(default_factory=lambda: {"local": 0.5, "simulated": 0.05})
    default_poll_s: Seconds = 15.0
    questions: Annotated[int, Meta(ge=1, le=1000)] = 8
    errands: Annotated[int, Meta(ge=1, le=64)] = 1


class ProviderPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator allows of one provider.

    confirm: jobs that triggers start wait for an operator; not given: where a job costs money. What an agent (role
    capture) asks for always waits, whatever this says.
    personal_data: what happens to it in rows on their way out: `redact`, `block` or `allow`.
    """

    confirm: bool | None = None
    personal_data: Literal["redact", "block", "allow"] = "redact"


class SecretPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """allowed: references that jobs may name for their integrations, and so send to where the job says.

    insecure_keyring: `keyring:` references are also looked up in keyrings that their library does not recommend.
    """

    allowed: tuple[Annotated[str, Meta(pattern=REFERENCE)], ...] = ()
    insecure_keyring: bool = False


class Telemetry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """endpoint: where an OpenTelemetry collector takes OTLP over HTTP; null: OTEL_EXPORTER_OTLP_ENDPOINT's, or none."""

    endpoint: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")] | None = None
