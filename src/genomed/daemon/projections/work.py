"""Jobs, what they published, where it is served, and what it costs: the folds and tables of the work itself.

Knows the log alone. Does not know the other projections.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import deployment as deployment_fold
from genomed.entities import job as job_fold
from genomed.entities import layer as layer_fold
from genomed.entities import spend as spend_fold
from genomed.entities.deployment import Deployment
from genomed.entities.deployment_events import DeploymentEvent, LayerWithdrawalRequested, LayerWithdrawn
from genomed.entities.envelope import Envelope
from genomed.entities.events import (
    GenomeEvent,
    JobEvent,
    LayerActivated,
    LayerEvent,
    LayerPublished,
    LayerRolledBack,
)
from genomed.entities.job import Job
from genomed.entities.journal_port import SideWrite
from genomed.entities.layer import Genome, Layer
from genomed.entities.spend import BudgetState, Ledger
from genomed.entities.spend_events import BudgetSet, LedgerEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  job_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, provider TEXT NOT NULL, status TEXT NOT NULL, phase TEXT NOT NULL,
  bucket_id TEXT, dataset_id TEXT NOT NULL, layer_id TEXT, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,
  finished_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, job_id);
CREATE INDEX IF NOT EXISTS jobs_by_dataset ON jobs (dataset_id);
CREATE TABLE IF NOT EXISTS layers (
  layer_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, base_model TEXT NOT NULL,
  job_id TEXT NOT NULL, active INTEGER NOT NULL, position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS layers_by_position ON layers (position);
CREATE INDEX IF NOT EXISTS layers_by_job ON layers (job_id);
CREATE INDEX IF NOT EXISTS layers_by_slot ON layers (persona_id, domain, base_model, position);
CREATE TABLE IF NOT EXISTS deployments (
  deployment_id TEXT PRIMARY KEY, layer_id TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL,
  requested_us INTEGER NOT NULL, ended_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deployments_by_layer ON deployments (layer_id);
CREATE TABLE IF NOT EXISTS withdrawals (
  layer_id TEXT PRIMARY KEY, open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledgers (
  stream TEXT PRIMARY KEY, open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
TABLES = ("jobs", "layers", "deployments", "withdrawals", "ledgers")

_JOB = "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DEPLOYMENT = "INSERT OR REPLACE INTO deployments VALUES (?, ?, ?, ?, ?, ?)"
_WITHDRAWAL = "INSERT OR REPLACE INTO withdrawals VALUES (?, ?)"
_LEDGER = "INSERT OR REPLACE INTO ledgers VALUES (?, ?)"
_LAYER = "INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?, 0, ?)"
_LAYER_ACTIVE = "UPDATE layers SET active = ? WHERE layer_id = ?"


def _job(state: Job | None, envelope: Envelope) -> Job:
    return job_fold.evolve(state, cast("JobEvent", envelope.event), at_us=envelope.at_us)


def _deployment(state: Deployment | None, envelope: Envelope) -> Deployment:
    return deployment_fold.evolve(state, cast("DeploymentEvent", envelope.event), at_us=envelope.at_us)


def _layer(state: Layer | None, envelope: Envelope) -> Layer:
    return layer_fold.evolve_layer(state, cast("LayerEvent", envelope.event), at_us=envelope.at_us)


def _genome(state: Genome | None, envelope: Envelope) -> Genome:
    return layer_fold.evolve_genome(state, cast("GenomeEvent", envelope.event), at_us=envelope.at_us)


def _spend(state: Ledger | None, envelope: Envelope) -> Ledger:
    return spend_fold.evolve(state, cast("LedgerEvent", envelope.event), at_us=envelope.at_us)


def _budget(state: BudgetState | None, envelope: Envelope) -> BudgetState:
    event = cast("BudgetSet", envelope.event)
    return spend_fold.evolve_budget(state, event, actor=envelope.actor, at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {
    "job": fold_of(Job, _job),
    "layer": fold_of(Layer, _layer),
    "deployment": fold_of(Deployment, _deployment),
    "genome": fold_of(Genome, _genome),
    "spend": fold_of(Ledger, _spend),
    "budget": fold_of(BudgetState, _budget),
}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    match state:
        case Job():
            return (_job_row(own, state),)
        case Deployment():
            return (_deployment_row(own, state),)
        case Ledger():
            return (write(_LEDGER, envelope.stream, len(state.open)),)
        case _:
            return _layer_rows(own, envelope)


def _layer_rows(own: str, envelope: Envelope) -> Sequence[SideWrite]:
    match envelope.event:
        case LayerPublished() as layer:
            of = (layer.persona_id, layer.domain, layer.base_model, layer.job_id)
            return (write(_LAYER, own, *of, envelope.position),)
        case LayerWithdrawalRequested() | LayerWithdrawn() as withdrawal:
            return (write(_WITHDRAWAL, own, int(isinstance(withdrawal, LayerWithdrawalRequested))),)
        case LayerActivated() | LayerRolledBack() as activity:
            return _activity_rows(activity)
        case _:
            return ()


def _job_row(job_id: str, job: Job) -> SideWrite:
    return write(
        _JOB,
        job_id,
        job.persona_id,
        job.provider,
        job.status.value,
        job.phase.value,
        job.bucket_id,
        job.dataset_id,
        job.layer_id,
        job.created_us,
        job.updated_us,
        job.finished_us,
    )


def _deployment_row(deployment_id: str, deployment: Deployment) -> SideWrite:
    asked = deployment.requested
    told = (asked.layer_id, asked.provider, deployment.state, deployment.requested_us, deployment.ended_us)
    return write(_DEPLOYMENT, deployment_id, *told)


def _activity_rows(event: LayerActivated | LayerRolledBack) -> Sequence[SideWrite]:
    off = event.previous_layer_id if isinstance(event, LayerActivated) else event.layer_id
    on = event.layer_id if isinstance(event, LayerActivated) else event.restored_layer_id
    return tuple(write(_LAYER_ACTIVE, flag, layer) for flag, layer in ((0, off), (1, on)) if layer is not None)
