"""Events in a sentence, for people: job-events, the CLI's watch, logs. Pure."""

from math import isfinite

from msgspec import Struct

from genomed.entities import deployment_events as d
from genomed.entities import events as e
from genomed.entities import experience_events as x
from genomed.entities import provision_events as p
from genomed.entities import spend_events as s
from genomed.entities.access_narration import access_line
from genomed.entities.configuration_narration import configuration_line
from genomed.entities.confinement_events import Confinement, WorkerConfined
from genomed.entities.draft_narration import draft_line
from genomed.entities.errand_narration import errand_line
from genomed.entities.event_codec import type_of
from genomed.entities.facts import Judgement, Progress
from genomed.entities.forget_narration import forget_line
from genomed.entities.guard_narration import guard_line
from genomed.entities.layer_keeping_narration import layer_keeping_line
from genomed.entities.recipe_narration import recipe_line
from genomed.entities.retention_narration import retention_line
from genomed.entities.review_narration import review_line
from genomed.entities.self_task_narration import task_line
from genomed.entities.trace_events import TraceImported
from genomed.entities.types import EventLevel


class Sentence(Struct, frozen=True, kw_only=True):
    level: EventLevel
    text: str


def narrate(event: e.Event | e.UnknownEvent) -> Sentence:
    """What happened, in one sentence. Every event has one; unknown ones are named by their type."""
    for part in (_job_start, _provision, _job_run, _job_end, _experience, _layers, _deployments, _spend, _curation):
        sentence = part(event)
        if sentence is not None:
            return sentence
    return _info(type_of(event))


def progress_line(progress: Progress) -> str:
    """`step 12/40 30% loss 1.83 lr 1.9e-04 412 tok/s ETA 1m10s`; unknown numbers are left out."""
    parts = [f"step {progress.step}" + (f"/{progress.total_steps}" if progress.total_steps else "")]
    if progress.fraction is not None:
        parts.append(f"{progress.fraction:.0%}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.learning_rate is not None:
        parts.append(f"lr {progress.learning_rate:.1e}")
    if progress.tokens_per_s is not None:
        parts.append(f"{progress.tokens_per_s:.0f} tok/s")
    if progress.eta_s is not None:
        parts.append(f"ETA {duration(progress.eta_s)}")
    return " ".join(parts)


def duration(seconds: float) -> str:
    """`45s`, `3m10s`, `2h05m`; a number that is none says so."""
    if not isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def judgement_line(judgement: Judgement) -> str:
    parts = []
    if judgement.exact_match is not None:
        parts.append(f"exact match {judgement.exact_match:.3f}")
    if judgement.reward_accuracy is not None:
        parts.append(f"reward accuracy {judgement.reward_accuracy:.3f}")
    if judgement.loss is not None:
        parts.append(f"loss {judgement.loss:.4g}")
    return f"{', '.join(parts) or 'nothing measured'} on {judgement.rows} held-out rows"


def confinement_line(how: Confinement) -> str:
    """`worker confined by landlock, network closed, at most 4.0 GiB of memory (guard)`, and what is missing."""
    what = "worker not confined" if how.level == "none" else f"worker confined by {how.level}"
    parts = [what, f"network {how.network}"]
    if how.memory_limit_bytes is not None:
        holders = " and ".join(how.memory_limit_by)
        parts.append(f"at most {how.memory_limit_bytes / 2**30:.1f} GiB of memory ({holders})")
    return "; ".join([", ".join(parts), *how.missing])


def _info(text: str) -> Sentence:
    return Sentence(level=EventLevel.INFO, text=text)


def _warning(text: str) -> Sentence:
    return Sentence(level=EventLevel.WARNING, text=text)


def _job_start(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case e.JobCreated():
            rows = f"{event.rows} rows, {event.eval_rows} held out"
            return _info(f"job created on {event.provider} for {event.persona_id}: {rows} ({event.origin})")
        case e.ConfigurationResolved():
            return _info(f"configuration resolved by {event.source}: {len(event.fields)} fields accounted for")
        case e.SubmissionIntended():
            return _info(f"attempt {event.attempt}: submitting under key {event.submission_key}")
        case e.SubmissionUnknown():
            return _warning(f"attempt {event.attempt}: outcome of the submission is unknown: {event.reason}")
        case e.SubmissionNotFound():
            return _info(f"attempt {event.attempt}: the provider never got it; sending it is safe")
        case e.SubmissionDeferred():
            return _info(f"waiting: {event.reason}")
        case e.JobSubmitted():
            how = "found at the provider" if event.adopted else "accepted"
            return _info(f"attempt {event.attempt}: {how} as {event.provider_job_id}")
        case _:
            return None


def _provision(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case p.ApprovalGranted():
            return _info(f"approved: {event.reason}")
        case p.ApprovalDenied():
            return _warning(f"rejected: {event.reason}")
        case p.UploadIntended():
            masked = f", masked: {counts_line(event.redacted)}" if event.redacted else ""
            return _info(f"{event.role} part ready to send: {event.rows} rows, {event.size_bytes} bytes{masked}")
        case p.UploadAccepted():
            how = "was there already" if event.adopted else "sent"
            return _info(f"{event.role} part {how} as {event.provider_file_id}")
        case p.UploadReady():
            return _info(f"{event.role} part checked by the provider ({event.provider_status})")
        case p.UploadLost():
            return _warning(f"{event.role} part lost at the provider: {event.reason}; it is sent again")
        case p.CostQuoted():
            return _info(f"attempt {event.attempt}: the provider's price is {usd_line(event.estimate.usd)}")
        case p.CostReported():
            return _info(f"attempt {event.attempt}: it cost {usd_line(event.usd)}")
        case p.JobStalled():
            return _warning(f"stalled, a person is needed: {event.message}")
        case WorkerConfined(confinement=how):
            return _info(f"attempt {event.attempt}: {confinement_line(how)}")
        case _:
            return None


def usd_line(usd: float | None) -> str:
    """`$1.25`; cents and smaller where it is less than a dollar; a number nobody knows says so."""
    if usd is None:
        return "unknown"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def counts_line(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _job_run(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case e.StatusReported():
            tail = f": {event.message}" if event.message else ""
            return _info(f"{event.status}, {event.phase} ({event.provider_status}){tail}")
        case e.UnknownStatusReported():
            return _warning(f"the provider says {event.provider_status!r}, a word we do not know; the job stays open")
        case e.ProgressReported():
            return _info(progress_line(event.progress))
        case e.CheckpointCommitted():
            return _info(f"checkpoint at step {event.step} {'verified' if event.sha256 else 'kept by the provider'}")
        case e.WorkerLost():
            return _warning(f"attempt {event.attempt}: the worker was lost: {event.reason}")
        case e.JobNoted():
            return Sentence(level=event.level, text=event.message)
        case e.SideJudged():
            return _info(f"{event.side} judged: {judgement_line(event.judgement)}")
        case e.PauseRequested():
            return _info(f"pause asked for: {event.reason}")
        case e.CancelRequested():
            return _info(f"cancel asked for: {event.reason}")
        case e.ResumeRequested():
            return _info(f"resume asked for: {event.reason}")
        case e.RetryRequested():
            return _info(f"retry asked for: {event.reason}")
        case _:
            return None


def _job_end(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case e.TrainingFinished():
            return _info(f"training finished after {duration(event.artifact.seconds or 0)}")
        case e.VerdictReached():
            word = "adopt" if event.verdict.adopt else "do not adopt"
            return _info(f"verdict: {word}; {event.verdict.reasons[0]}")
        case e.JobSucceeded():
            word = "adopted" if event.adopted else "not adopted"
            return _info(f"succeeded: layer {event.layer_id}, {word}")
        case e.JobFailed():
            return Sentence(level=EventLevel.ERROR, text=f"failed: {event.error.message}")
        case e.JobPaused():
            at = f" at step {event.step}" if event.step is not None else ""
            return _info(f"paused{at}")
        case e.JobCancelled():
            return _info(f"cancelled: {event.reason}")
        case e.LateReportIgnored():
            return _info(f"late report {event.provider_status!r} ignored: the job had ended")
        case _:
            return None


def _experience(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case x.InteractionCaptured():
            return _info(f"interaction of {event.bucket.persona_id} captured in {event.bucket.domain}")
        case x.FeedbackGiven():
            return _info(f"{event.kind} received")
        case x.TriggerSet():
            return _info(f"trigger of {event.bucket.persona_id}/{event.bucket.domain} set")
        case x.ExamplesReserved():
            return _info(f"trigger fired: {event.reason}; {event.examples} examples reserved for {event.job_id}")
        case x.ExamplesConsumed():
            return _info(f"examples of {event.job_id} consumed")
        case x.ExamplesReturned():
            return _info(f"examples of {event.job_id} returned: {event.reason}")
        case x.LearningAsked():
            return _info(f"asked to learn soon: {event.reason}")
        case x.TriggerHeldBack():
            return _warning(f"trigger held back: {event.message}")
        case TraceImported():
            new = f"{event.interactions} interactions and {event.feedback} judgements are new"
            return _info(f"{event.spans} spans of {event.source} read: {new}")
        case _:
            return None


def _deployments(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case d.DeploymentRequested():
            price = f"{usd_line(event.hourly.usd)} an hour"
            return _info(f"{event.layer_id} is to be served on {event.provider} for {event.hours:g} h at {price}")
        case d.DeploymentIntended():
            return _info(f"asking for the deployment under key {event.key}")
        case d.DeploymentUnknown():
            return _warning(f"outcome of the deployment call is unknown: {event.reason}")
        case d.DeploymentNotFound():
            return _info("the provider never got it; asking for it is safe")
        case d.DeploymentDeferred():
            return _info(f"waiting: {event.reason}")
        case d.DeploymentAccepted():
            return _info(f"{'found at the provider' if event.adopted else 'accepted'} as {event.provider_id}")
        case d.DeploymentReady():
            return _info(f"it answers as {event.model}")
        case _:
            return _deployment_ends(event)


def _deployment_ends(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case d.DeploymentTroubled():
            return _warning(f"the provider refuses to be asked, it may go on and cost: {event.message}")
        case d.DeploymentFailed():
            return Sentence(level=EventLevel.ERROR, text=f"deployment failed: {event.error.message}")
        case d.UndeployRequested():
            return _info(f"its end was asked for: {event.reason}")
        case d.DeploymentEnded():
            return _info(f"ended after {event.hours:.2f} h, {usd_line(event.usd)}: {event.reason}")
        case d.LayerCompared():
            asked = f"{event.prompts} prompts, {event.answered} of {2 * event.prompts} answered"
            return _info(f"{event.tuned_model} compared with {event.base_model}: {asked}")
        case d.LayerWithdrawalRequested():
            return _info(f"{event.model} is to be deleted at its provider: {event.reason}")
        case d.LayerWithdrawalTroubled():
            return _warning(f"the provider does not delete it: {event.message}")
        case d.LayerWithdrawn():
            return _info(f"withdrawn: its provider keeps {event.model} no more")
        case _:
            return None


def _spend(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case s.SpendReserved():
            return _info(f"{usd_line(event.usd)} reserved for {event.job_id} ({event.attempt_of}): {event.basis}")
        case s.SpendAdjusted():
            return _info(f"{usd_line(event.usd)} reserved for {event.job_id} instead: {event.basis}")
        case s.SpendSettled():
            return _info(f"{event.job_id} settled at {usd_line(event.usd)} ({event.basis})")
        case s.SpendReleased():
            return _info(f"the money reserved for {event.job_id} is free again: {event.reason}")
        case s.BudgetSet():
            whose = "the configuration's caps apply again" if event.budget is None else "new caps apply"
            return _info(f"{whose}: {event.reason}")
        case _:
            return None


def _layers(event: e.Event | e.UnknownEvent) -> Sentence | None:
    match event:
        case e.DatasetFrozen():
            return _info(f"dataset {event.name} frozen: {event.rows} rows, {event.eval_rows} held out")
        case e.LayerPublished():
            return _info(f"layer published at {event.path}")
        case e.LayerJudged():
            return _info(f"layer judged: {event.verdict.reasons[0]}")
        case e.LayerActivated():
            return _info(f"layer {event.layer_id} active for {event.domain} ({event.reason})")
        case e.LayerRolledBack():
            return _info(f"rolled back from {event.layer_id} to {event.restored_layer_id or 'the base model'}")
        case e.UnknownEvent():
            return _warning(f"{event.type}: an event of a newer build")
        case _:
            return None


_CURATION = (
    review_line, draft_line, recipe_line, forget_line, task_line, access_line, guard_line, configuration_line,
    retention_line, errand_line, layer_keeping_line,
)  # fmt: skip


def _curation(event: e.Event | e.UnknownEvent) -> Sentence | None:
    lines = (line_of(event) for line_of in _CURATION)
    return next((_info(line) for line in lines if line is not None), None)
