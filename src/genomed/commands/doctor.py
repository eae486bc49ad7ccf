"""genome/doctor: what is wrong or soon will be, and what to do about it. Looks at what is cheap to look at.

Asks every provider what it can do, and reads the log's own tables; sends nothing, verifies no hash chain.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from genomed.commands.context import Context, as_text
from genomed.commands.named_providers import named_providers
from genomed.commands.provider_list import missing_secrets
from genomed.commands.spending import caps_in_force
from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.configuration import DatasetsSection, JobConfiguration, MethodSection, ModelSection
from genomed.entities.configured import ConfigurationState
from genomed.entities.deployment import Deployment
from genomed.entities.envelope import Head
from genomed.entities.errors import Internal
from genomed.entities.facts import HOSTED, DatasetFacts
from genomed.entities.job import Job
from genomed.entities.layer import Layer
from genomed.entities.narration import usd_line
from genomed.entities.spend import day_of
from genomed.entities.sunset import model_end
from genomed.entities.types import EventLevel, JobPhase, Role, RowKind, TrainingMethod

NAME = "genome/doctor"
SUMMARY = "Show what is wrong, and what to do about it."
ROLE = Role.READ

SOON_DAYS = 90
"""An announced end that is nearer than this is a warning: moving takes time."""

MEND = "mend it, check it with `genomed --check-config`, then reload again"

MOST_PROBED = 50
"""Base models of a provider that are looked up in its price table."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Finding(Struct, frozen=True, kw_only=True, rename="camel"):
    """level: error (something does not work), warning (a person should act), info. about: what it concerns."""

    level: EventLevel
    about: str
    message: str
    remedy: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """ok: no error and no warning. findings: gravest first. head: where the log stands.

    anchor: `current`, `behind` (it follows every commit, a moment later) or `absent`.
    """

    ok: bool
    findings: tuple[Finding, ...]
    head: Head
    anchor: str


async def run(_: Params, context: Context) -> Result:
    head = context.log.head()
    anchored = await context.maintenance.anchored()
    able = {name: await context.providers.get(name).capabilities() for name in context.providers.names()}
    found = [
        *_log(context.maintenance.stopped(), context.maintenance.short_of_space(), anchored),
        *_configuration(context.configuration.state(), context.providers.names()),
    ]
    try:
        found += await _told_by_the_log(context, able)
    except Internal as unreadable:
        found.append(_error("log", unreadable.message, unreadable.remedy or "see the daemon's log"))
    gravity = (EventLevel.ERROR, EventLevel.WARNING, EventLevel.INFO)
    found.sort(key=lambda one: gravity.index(one.level))
    ok = all(one.level is EventLevel.INFO for one in found)
    anchor = "absent" if anchored is None else "behind" if anchored.position < head.position else "current"
    return Result(ok=ok, findings=tuple(found), head=head, anchor=anchor)


async def _told_by_the_log(context: Context, able: dict[str, ProviderCapabilities]) -> list[Finding]:
    return [
        *await _waiting_jobs(context),
        *await _waiting_errands(context),
        *await _deployments(context),
        *await _providers(context, able),
        *await _sunsets(context, able),
        *await _money(context, able),
    ]


def _error(about: str, message: str, remedy: str) -> Finding:
    return Finding(level=EventLevel.ERROR, about=about, message=message, remedy=remedy)


def _warning(about: str, message: str, remedy: str) -> Finding:
    return Finding(level=EventLevel.WARNING, about=about, message=message, remedy=remedy)


def _info(about: str, message: str, remedy: str) -> Finding:
    return Finding(level=EventLevel.INFO, about=about, message=message, remedy=remedy)


def _log(stopped: str | None, short: str | None, anchored: Head | None) -> list[Finding]:
    found = []
    if stopped is not None:
        found.append(_error("log", f"it takes no more events: {stopped}", "mend the disk, then restart the daemon"))
    if short is not None:
        found.append(_error("disk", short, "free some space on the disk of the data folder; it goes on by itself"))
    if anchored is None:
        message = "its anchor is gone or spoiled, so that a cut log would not be noticed at the next start"
        found.append(_error("log", message, "make a copy with genome/log-backup, check with genome/log-verify"))
    return found


def _configuration(state: ConfigurationState, present: Sequence[str]) -> list[Finding]:
    found = [
        _error("configuration", f"the last reload was refused: {one.field}: {one.message}", one.remedy or MEND)
        for one in state.problems
    ]
    if state.needs_restart:
        fields = ", ".join(state.needs_restart)
        message = f"{fields}: changed since the daemon started, which holds only after a restart"
        found.append(_warning("configuration", message, "restart the daemon; nothing that runs is lost by it"))
    for field, name in named_providers(state.values):
        if name not in present:
            message = f"{field}: there is no provider {name!r}, or it is not allowed: this holds for nobody"
            found.append(_warning("configuration", message, f"mend or remove it; there are {', '.join(present)}"))
    return found


_WAITING: dict[str, tuple[str, str]] = {
    JobPhase.AWAITING_APPROVAL: ("waits for an operator", "genome/job-approve or genome/job-reject"),
    JobPhase.SUBMISSION_UNCERTAIN: (
        "was perhaps accepted by a provider that cannot be asked",
        "look at the provider's own page, then say what is there with genome/job-resolve",
    ),
    JobPhase.STALLED: (
        "is not told of by its provider any more, and may go on there",
        "mend the cause (a key, an account); it is asked again with genome/job-status and refresh",
    ),
}


async def _waiting_jobs(context: Context) -> list[Finding]:
    marks = ", ".join("?" for _ in _WAITING)
    rows = await context.log.query(
        f"SELECT job_id, phase FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"  # noqa: S608 -- marks only
        f" AND phase IN ({marks}) ORDER BY job_id",
        tuple(_WAITING),
    )
    found = []
    for job_id, phase in [(as_text(row[0]), row[1]) for row in rows]:
        state = (await context.log.load(f"job/{job_id}")).state
        about, remedy = _WAITING[as_text(phase)]
        why = f": {state.message}" if isinstance(state, Job) and state.message else ""
        where = f" on {state.provider}" if isinstance(state, Job) else ""
        found.append(_warning(f"job {job_id}", f"{about}{where}{why}", remedy))
    return found


async def _waiting_errands(context: Context) -> list[Finding]:
    """Work on layers that does not go on, though it should."""
    rows = await context.log.query("SELECT errand_id, kind FROM errands WHERE open ORDER BY position")
    return [
        _warning(f"errand {as_text(raw)}", f"{as_text(kind)} waits: {why}", "mend that, or genome/errand-cancel")
        for raw, kind in rows
        if (why := context.errands.trouble(as_text(raw))) is not None
    ]


async def _deployments(context: Context) -> list[Finding]:
    rows = await context.log.query(
        "SELECT deployment_id FROM deployments WHERE state NOT IN ('ended', 'failed') ORDER BY deployment_id"
    )
    found = []
    for deployment_id in [as_text(row[0]) for row in rows]:
        state = (await context.log.load(f"deployment/{deployment_id}")).state
        if isinstance(state, Deployment):
            found.append(_deployment(f"deployment {deployment_id}", state, now_us=context.now_us()))
    return found


def _deployment(about: str, deployment: Deployment, *, now_us: int) -> Finding:
    end = "end it with genome/layer-undeploy when it is needed no more"
    price = f"{usd_line(deployment.requested.hourly.usd)} an hour"
    if deployment.state == "uncertain":
        remedy = "look at the provider's own page, then genome/layer-undeploy with providerId or nothingThere"
        return _warning(about, f"perhaps runs at {price}; its provider cannot be asked", remedy)
    if deployment.troubled:
        remedy = "mend the cause (a key, an account); it is asked again by itself"
        return _error(about, f"may go on at {price} and cannot be ended: {deployment.message}", remedy)
    if deployment.due_us is not None and deployment.due_us < now_us:
        return _warning(about, f"its time is over and it still runs, at {price}", "see deployment-list for its state")
    return _info(about, f"{deployment.state} at {price}", end)


async def _providers(context: Context, able: dict[str, ProviderCapabilities]) -> list[Finding]:
    rows = await context.log.query(
        "SELECT DISTINCT provider FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
    )
    busy = {as_text(row[0]) for row in rows}
    found = [
        _warning("plug-ins", complaint, "mend or remove the plug-in, then restart the daemon")
        for complaint in context.providers.complaints()
    ]
    for name in sorted(busy - able.keys()):
        remedy = "allow it again in allowed_providers, or cancel its jobs"
        found.append(_error(f"provider {name}", "has open jobs and is not allowed any more", remedy))
    for name, one in able.items():
        missing = missing_secrets(one)
        remedy = f"set {', '.join(missing)}, then restart the daemon" if missing else "see genome/provider-capabilities"
        if not one.available:
            say = _error if name in busy or one.broken else _info
            found.append(say(f"provider {name}", f"is not available: {one.reason}", remedy))
        elif missing:
            found.append(_warning(f"provider {name}", f"lacks {', '.join(missing)}", remedy))
        if one.available and one.hardware.get("sandbox") in ("none", "rlimits"):
            why = one.hardware.get("sandboxMissing") or "its settings say so"
            mend = "install bubblewrap or use a kernel with Landlock: docs/security.md, Workers"
            found.append(_info(f"provider {name}", f"workers run in no sandbox: {why}", mend))
    if not any(one.available and not one.simulated for one in able.values()):
        message = "none is available: nothing can be trained"
        found.append(_warning("providers", message, "set up the engine of `local`, or the key of a cloud provider"))
    return found


async def _sunsets(context: Context, able: dict[str, ProviderCapabilities]) -> list[Finding]:
    now_us = context.now_us()
    today = day_of(now_us)
    soon = (datetime.fromtimestamp(now_us / 1_000_000, tz=UTC) + timedelta(days=SOON_DAYS)).strftime("%Y-%m-%d")
    found = []
    for name, one in able.items():
        if one.sunset is None:
            continue
        last = one.sunset.last_new_job
        when = "" if last is None else f"; last new job {last}"
        near = one.available and (last is None or last <= soon)
        say = _warning if near else _info
        remedy = "train elsewhere: genome/job-migrate takes a job to another provider"
        found.append(say(f"provider {name}", f"{one.sunset.message}{when} ({one.sunset.source})", remedy))
    return [*found, *await _layers_that_end(context, able, today=today, soon=soon)]


async def _layers_that_end(
    context: Context, able: dict[str, ProviderCapabilities], *, today: str, soon: str
) -> list[Finding]:
    """Layers in use whose hosted model is about to be switched off."""
    found = []
    rows = await context.log.query("SELECT layer_id FROM layers WHERE active ORDER BY layer_id")
    for layer_id in [as_text(row[0]) for row in rows]:
        state = (await context.log.load(f"layer/{layer_id}")).state
        if not isinstance(state, Layer) or state.published.artifact.format != HOSTED:
            continue
        provider = able.get(state.published.provider)
        if provider is None or provider.sunset is None:
            continue
        base_model = state.published.base_model
        told = model_end(provider.sunset, base_model, today=today)
        prefix = max((one for one in provider.sunset.models if base_model.startswith(one)), key=len, default=None)
        if told and prefix is not None and provider.sunset.models[prefix] <= soon:
            remedy = "train it anew elsewhere with genome/job-migrate, then activate that layer"
            found.append(_warning(f"layer {layer_id}", f"is in use, and {told[0].message}", remedy))
    return found


async def _money(context: Context, able: dict[str, ProviderCapabilities]) -> list[Finding]:
    """Caps that no price can be held against, and money that no cap holds."""
    paid = {name: one for name, one in able.items() if one.paid and one.available}
    if not paid:
        return []
    caps, _ = await caps_in_force(context.log, context.budget)
    capped = caps.overall.any or any(one.any for one in (*caps.personas.values(), *caps.providers.values()))
    if not capped:
        names = ", ".join(paid)
        return [_info("budget", f"nothing caps what jobs on {names} cost", "set caps with genome/budget-set")]
    if caps.allow_unknown:
        return []
    found = []
    for name, one in paid.items():
        if not await _some_price(context, name, one):
            message = f"caps apply and no price of {name} is known, so that its jobs are refused"
            remedy = f"write a price table into [providers.{name}], or set allowUnknown with genome/budget-set"
            found.append(_warning("budget", message, remedy))
    return found


async def _some_price(context: Context, name: str, able: ProviderCapabilities) -> bool:
    """Whether any base model that the provider names has a price; True where it names none, since nobody can say."""
    models = _probes(able, context.default_base_model)
    facts = DatasetFacts(dataset_id="", row_kind=RowKind.CHAT, rows=1, eval_rows=0, size_bytes=1)
    provider = context.providers.get(name)
    for model in models:
        configuration = JobConfiguration(
            model=ModelSection(base_model=model),
            datasets=DatasetsSection(training_file_id="none"),
            method=MethodSection(type=(able.supported_methods or (TrainingMethod.LORA,))[0]),
        )
        if (await provider.estimate(configuration, facts)).usd is not None:
            return True
    return not models


def _probes(able: ProviderCapabilities, default: str | None) -> Sequence[str]:
    offered = [offer.name for offer in able.base_models][:MOST_PROBED]
    return offered or ([default] if default is not None else [])
