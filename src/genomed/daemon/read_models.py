"""The folds of every kind of stream, and the tables that answer questions about many streams at once.

Everything here follows from the log alone: the same events in the same order give the same rows.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.read_model_port import Fold, fold_of
from genomed.entities import bucket as bucket_fold
from genomed.entities import dataset as dataset_fold
from genomed.entities import deployment as deployment_fold
from genomed.entities import interaction as interaction_fold
from genomed.entities import job as job_fold
from genomed.entities import layer as layer_fold
from genomed.entities import spend as spend_fold
from genomed.entities.bucket import Bucket, bucket_id
from genomed.entities.dataset import Dataset
from genomed.entities.deployment import Deployment
from genomed.entities.deployment_events import DeploymentEvent, LayerWithdrawalRequested, LayerWithdrawn
from genomed.entities.envelope import Envelope
from genomed.entities.events import (
    DatasetFrozen,
    GenomeEvent,
    JobEvent,
    LayerActivated,
    LayerEvent,
    LayerPublished,
    LayerRolledBack,
)
from genomed.entities.experience_events import (
    BucketEvent,
    ExamplesConsumed,
    ExamplesReserved,
    ExamplesReturned,
    FeedbackGiven,
    InteractionCaptured,
    InteractionEvent,
    TriggerHeldBack,
    TriggerSet,
)
from genomed.entities.facts import BucketKey
from genomed.entities.interaction import Interaction
from genomed.entities.job import Job
from genomed.entities.journal_port import SideWrite, SqlValue
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
CREATE TABLE IF NOT EXISTS datasets (
  dataset_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, row_kind TEXT NOT NULL, name TEXT NOT NULL,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS datasets_by_position ON datasets (position);
CREATE TABLE IF NOT EXISTS layers (
  layer_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, base_model TEXT NOT NULL,
  job_id TEXT NOT NULL, active INTEGER NOT NULL, position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS layers_by_position ON layers (position);
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
CREATE TABLE IF NOT EXISTS buckets (
  bucket_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, base_model TEXT NOT NULL,
  opened_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS examples (
  interaction_id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL, position INTEGER NOT NULL, captured_us INTEGER NOT NULL,
  quality REAL, usable INTEGER NOT NULL, state TEXT NOT NULL, job_id TEXT, revised INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS examples_by_bucket
  ON examples (bucket_id, state, position, usable, quality, captured_us);
CREATE INDEX IF NOT EXISTS examples_by_job ON examples (job_id) WHERE job_id IS NOT NULL;
"""

_OPEN_BUCKET = "INSERT OR IGNORE INTO buckets VALUES (?, ?, ?, ?, ?)"
_CAPTURE = "INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, 'pending', NULL, 0)"
_JUDGE = """
UPDATE examples SET quality = ?1, usable = ?2, position = ?3,
  revised = CASE WHEN state = 'reserved' AND ?4 THEN 1 ELSE revised END,
  state = CASE WHEN state = 'consumed' AND ?4 THEN 'pending' ELSE state END
WHERE interaction_id = ?5
"""
_RESERVE = """
UPDATE examples SET state = 'reserved', job_id = ?1, revised = 0
WHERE bucket_id = ?2 AND state = 'pending' AND usable AND position <= ?3
"""
_RESERVE_AGAIN = """
UPDATE examples SET state = 'reserved', revised = 0 WHERE bucket_id = ?2 AND state = 'pending' AND job_id = ?1
"""
_CONSUME = """
UPDATE examples SET state = CASE WHEN revised THEN 'pending' ELSE 'consumed' END, revised = 0
WHERE job_id = ? AND state = 'reserved'
"""
_RETURN = "UPDATE examples SET state = 'pending', revised = 0 WHERE job_id = ? AND state = 'reserved'"
_JOB = "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DATASET = "INSERT OR IGNORE INTO datasets VALUES (?, ?, ?, ?, ?)"
_DEPLOYMENT = "INSERT OR REPLACE INTO deployments VALUES (?, ?, ?, ?, ?, ?)"
_WITHDRAWAL = "INSERT OR REPLACE INTO withdrawals VALUES (?, ?)"
_LEDGER = "INSERT OR REPLACE INTO ledgers VALUES (?, ?)"
_LAYER = "INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?, 0, ?)"
_LAYER_ACTIVE = "UPDATE layers SET active = ? WHERE layer_id = ?"


def _job(state: Job | None, envelope: Envelope) -> Job:
    return job_fold.evolve(state, cast("JobEvent", envelope.event), at_us=envelope.at_us)


def _dataset(state: Dataset | None, envelope: Envelope) -> Dataset:
    return dataset_fold.evolve(state, cast("DatasetFrozen", envelope.event), at_us=envelope.at_us)


def _deployment(state: Deployment | None, envelope: Envelope) -> Deployment:
    return deployment_fold.evolve(state, cast("DeploymentEvent", envelope.event), at_us=envelope.at_us)


def _layer(state: Layer | None, envelope: Envelope) -> Layer:
    return layer_fold.evolve_layer(state, cast("LayerEvent", envelope.event), at_us=envelope.at_us)


def _genome(state: Genome | None, envelope: Envelope) -> Genome:
    return layer_fold.evolve_genome(state, cast("GenomeEvent", envelope.event), at_us=envelope.at_us)


def _bucket(state: Bucket | None, envelope: Envelope) -> Bucket:
    return bucket_fold.evolve(state, cast("BucketEvent", envelope.event), at_us=envelope.at_us)


def _interaction(state: Interaction | None, envelope: Envelope) -> Interaction:
    return interaction_fold.evolve(state, cast("InteractionEvent", envelope.event), at_us=envelope.at_us)


def _spend(state: Ledger | None, envelope: Envelope) -> Ledger:
    return spend_fold.evolve(state, cast("LedgerEvent", envelope.event), at_us=envelope.at_us)


def _budget(state: BudgetState | None, envelope: Envelope) -> BudgetState:
    event = cast("BudgetSet", envelope.event)
    return spend_fold.evolve_budget(state, event, actor=envelope.actor, at_us=envelope.at_us)


class GenomeReadModels:
    """Fulfils the journal's ReadModels."""

    @property
    def kinds(self) -> Mapping[str, Fold]:
        return _FOLDS

    def schema(self) -> str:
        return SCHEMA

    def tables(self) -> tuple[str, ...]:
        return ("jobs", "datasets", "layers", "deployments", "withdrawals", "ledgers", "buckets", "examples")

    def rows(self, envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
        own = envelope.stream.partition("/")[2]
        if isinstance(state, Job):
            return (_job_row(own, state),)
        if isinstance(state, Deployment):
            return (_deployment_row(own, state),)
        if isinstance(state, Ledger):
            return (_write(_LEDGER, envelope.stream, len(state.open)),)
        if isinstance(state, Interaction):
            return _interaction_rows(own, envelope, state)
        match envelope.event:
            case DatasetFrozen() as frozen:
                about = (frozen.persona_id, frozen.row_kind.value, frozen.name)
                return (_write(_DATASET, own, *about, envelope.position),)
            case LayerPublished() as layer:
                of = (layer.persona_id, layer.domain, layer.base_model, layer.job_id)
                return (_write(_LAYER, own, *of, envelope.position),)
            case LayerWithdrawalRequested() | LayerWithdrawn() as withdrawal:
                return (_write(_WITHDRAWAL, own, int(isinstance(withdrawal, LayerWithdrawalRequested))),)
            case LayerActivated() | LayerRolledBack():
                return _activity_rows(envelope.event)
            case _:
                return _bucket_rows(own, envelope)


_FOLDS: Mapping[str, Fold] = {
    "job": fold_of(Job, _job),
    "dataset": fold_of(Dataset, _dataset),
    "layer": fold_of(Layer, _layer),
    "deployment": fold_of(Deployment, _deployment),
    "genome": fold_of(Genome, _genome),
    "bucket": fold_of(Bucket, _bucket),
    "interaction": fold_of(Interaction, _interaction),
    "spend": fold_of(Ledger, _spend),
    "budget": fold_of(BudgetState, _budget),
}


def _write(sql: str, *row: SqlValue) -> SideWrite:
    return SideWrite(sql=sql, rows=(row,))


def _job_row(job_id: str, job: Job) -> SideWrite:
    return _write(
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
    return _write(_DEPLOYMENT, deployment_id, *told)


def _opened(own: str, key: BucketKey, at_us: int) -> SideWrite:
    return _write(_OPEN_BUCKET, own, key.persona_id, key.domain, key.base_model, at_us)


def _interaction_rows(own: str, envelope: Envelope, state: Interaction) -> Sequence[SideWrite]:
    usable = int(state.usable)
    match envelope.event:
        case InteractionCaptured():
            row = (own, state.bucket_id, envelope.position, envelope.at_us, state.quality, usable)
            return (_opened(state.bucket_id, state.bucket, envelope.at_us), _write(_CAPTURE, *row))
        case FeedbackGiven() as given:
            return (_write(_JUDGE, state.quality, usable, envelope.position, int(given.corrected), own),)
        case _:
            return ()


def _bucket_rows(own: str, envelope: Envelope) -> Sequence[SideWrite]:
    match envelope.event:
        case TriggerSet(bucket=key) | TriggerHeldBack(bucket=key):
            return (_opened(bucket_id(key), key, envelope.at_us),)
        case ExamplesReserved() as reserved:
            sql = _RESERVE_AGAIN if reserved.again else _RESERVE
            row: tuple[SqlValue, ...] = (reserved.job_id, own)
            return (_write(sql, *(row if reserved.again else (*row, reserved.through_position))),)
        case ExamplesConsumed(job_id=job_id):
            return (_write(_CONSUME, job_id),)
        case ExamplesReturned(job_id=job_id):
            return (_write(_RETURN, job_id),)
        case _:
            return ()


def _activity_rows(event: LayerActivated | LayerRolledBack) -> Sequence[SideWrite]:
    off = event.previous_layer_id if isinstance(event, LayerActivated) else event.layer_id
    on = event.layer_id if isinstance(event, LayerActivated) else event.restored_layer_id
    return tuple(_write(_LAYER_ACTIVE, flag, layer) for flag, layer in ((0, off), (1, on)) if layer is not None)
