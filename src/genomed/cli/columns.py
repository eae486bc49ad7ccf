"""Which columns a table shows. The rest of a row is there with --json.

A list that is not named here shows what its rows have in plain values, so a new command needs nothing from this file.
"""

from collections.abc import Mapping, Sequence

from genomed.cli.arguments import Json

Row = Mapping[str, Json]

COLUMNS: dict[str, tuple[str, ...]] = {
    "jobs": (
        "jobId", "status", "phase", "simulated", "provider", "personaId", "domain", "baseModel", "progress",
        "createdUs",
    ),
    "buckets": (
        "bucketId", "personaId", "domain", "baseModel", "counts.usable", "counts.highQuality", "ready", "isLearning",
        "reason",
    ),
    "triggers": (
        "bucketId", "personaId", "domain", "baseModel", "rule.minExamples", "rule.highQualityExamples", "rule.provider",
        "ruleIsDefault", "reason",
    ),
    "layers": (
        "layerId", "version", "personaId", "domain", "baseModel", "active", "simulated", "verdict.metric",
        "verdict.lift", "jobId", "publishedUs",
    ),
    "family": ("layerId", "parentLayerId", "version", "active", "adopted", "gone", "publishedUs"),
    "errands": (
        "errandId", "kind", "state", "personaId", "attempt", "phase", "done", "total", "trouble", "sizeBytes",
        "requestedUs", "endedUs", "error.message",
    ),
    "notes": ("code", "message"),
    "going": ("layerId", "personaId", "domain", "files", "freeableBytes", "bytesFreed", "publishedUs"),
    "staying": ("layerId", "reason"),
    "activeLayers": (
        "layerId", "personaId", "domain", "baseModel", "simulated", "verdict.metric", "verdict.lift", "publishedUs",
    ),
    "datasets": (
        "datasetId", "name", "version", "personaId", "rowKind", "rows", "evalRows", "forgotten", "sizeBytes",
        "frozenUs", "archived",
    ),
    "drafts": (
        "draftId", "name", "personaId", "rowKind", "policy", "items.pending", "items.approved", "items.auto_approved",
        "changedUs", "archived",
    ),
    "learners": ("jobId", "status", "layerId", "active", "datasetId"),
    "lineage": ("rowId", "origin", "source", "sessionId", "heldOut", "forgotten"),
    "steps": ("step", "examined", "removed", "changed", "note"),
    "segments": ("fileName", "format", "rows", "sizeBytes", "duplicates", "losses", "sha256"),
    "versions": ("version", "datasetId", "frozenUs"),
    "reviews": ("batchId", "recipe", "runId"),
    "interactions": (
        "interactionId", "method", "personaId", "domain", "sessionId", "personId", "source", "writtenBy",
        "throughPosition", "capturedUs", "input", "output",
    ),
    "providers": (
        "provider", "available", "simulated", "paid", "confirm", "methods", "missingSecrets", "sunset.lastNewJob",
        "reason", "description",
    ),
    "batches": (
        "batchId", "draftId", "recipe", "source", "policy", "items", "counts.pending", "counts.approved",
        "counts.auto_approved", "counts.rejected", "approvalRate", "openedUs",
    ),
    "runs": (
        "runId", "recipe", "state", "rows", "wanted", "itemsDone", "itemsPlanned", "itemsFailed", "requests", "usd",
        "etaS", "waiting", "reason",
    ),
    "gaps": ("measured.bucket.personaId", "measured.bucket.domain", "action", "severity", "reason"),
    "tasks": (
        "taskId", "bucket.personaId", "bucket.domain", "kind", "state", "severity", "priority", "reason", "takenBy",
        "jobId", "openedUs", "endedUs", "note",
    ),
    "deployments": (
        "deploymentId", "layerId", "provider", "simulated", "state", "model", "hourly.usd", "dueUs", "costUsd",
        "message",
    ),
    "scopes": (
        "kind", "name", "caps.jobUsd", "day.settledUsd", "day.reservedUsd", "day.leftUsd", "month.settledUsd",
        "month.reservedUsd", "month.leftUsd",
    ),
    "open": ("jobId", "personaId", "provider", "attemptOf", "usd", "source", "day", "basis"),
    "changes": ("field", "change", "before", "sentBefore", "after", "sentAfter", "note"),
    "events": ("createdAt", "level", "message"),
    "commands": ("name", "role", "summary"),
    "fields": ("field", "asked", "sent", "disposition", "note"),
}  # fmt: skip


LABELS: dict[str, str] = {
    "caps.jobUsd": "job cap",
    "counts.auto_approved": "by policy",
    "day.settledUsd": "day spent",
    "day.reservedUsd": "day held",
    "day.leftUsd": "day left",
    "month.settledUsd": "month spent",
    "month.reservedUsd": "month held",
    "month.leftUsd": "month left",
    "hourly.usd": "per hour",
    "sunset.lastNewJob": "last new job",
    "items.pending": "to review",
    "items.approved": "approved",
    "items.auto_approved": "let in",
    "etaS": "eta",
    "itemsDone": "done",
    "itemsPlanned": "planned",
    "itemsFailed": "failed",
    "revoked": "reason",
}
"""Heads of columns whose own name says too little."""

REMARKS: dict[str, str] = {
    "token": "the token is shown only once: keep it now, for nobody can read it again",
}
"""What a person should know of a value of that name, where there is one."""

GO_WITHOUT_SAYING: dict[str, tuple[str, str, str]] = {
    "fields": ("disposition", "not_applicable", "do not apply"),
    "changes": ("change", "same", "stay the same"),
}
"""Rows that are counted and not shown: list -> (field, its value, what is said of them). A row with a note is shown."""

SILENT_WHEN_EMPTY = ("already",)
"""Lists of exceptions: that there are none needs no line."""

SHOWN_WHEN_TRUE = ("simulated", "forgotten")
"""What goes without saying while it is not so, or while there is none of it."""

NAMES_ALONE = ("files",)
"""Objects whose values, hashes, no person compares by eye: their names are shown."""

IN_ONE_LINE = ("versions",)
"""Objects of short values that are read together."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "facts": (
        "conclusion", "difference", "interval", "p", "test", "metric", "rows", "wins", "losses", "ties", "candidate",
        "baseline", "verification", "sizeBytes", "sizeBeforeBytes",
    ),
}  # fmt: skip
"""Objects within an object that are read by themselves: a block each, and what it says first."""

PAGES = ("report.html",)
"""Files to be looked at in a browser: beside the folder that holds them, each is said by its whole path."""

BESIDE: dict[str, str] = {"batches": "items"}
"""Lists that only explain another one: where that stands beside them, --quiet prints its ids alone."""


def columns_of(name: str, rows: Sequence[Row]) -> list[str]:
    """Dotted paths into a row, in order; those without a value in any row are left out."""
    wanted = [path for path in COLUMNS.get(name, ()) if any(_filled(value_at(row, path), path) for row in rows)]
    if wanted:
        return wanted
    found = dict.fromkeys(field for row in rows for field in row)
    return [field for field in found if any(_filled(row.get(field), field) and _plain(row.get(field)) for row in rows)]


def told_rows(name: str, rows: Sequence[Row]) -> tuple[list[Row], str]:
    """The rows worth showing, and a line about the others."""
    silent = GO_WITHOUT_SAYING.get(name)
    if silent is None:
        return list(rows), ""
    field, value, words = silent
    shown = [row for row in rows if row.get(field) != value or row.get("note")]
    count = len(rows) - len(shown)
    return shown, f"and {count} that {words}" if count else ""


def value_at(row: Row, path: str) -> Json:
    inner: Json = dict(row)
    for part in path.split("."):
        inner = inner.get(part) if isinstance(inner, dict) else None
    return inner


def _filled(value: Json, path: str) -> bool:
    if path in SHOWN_WHEN_TRUE:
        return value is not None and value not in (False, 0, "")
    return value is not None and value not in ([], {}, "")


def _plain(value: Json) -> bool:
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(one, dict) for one in value))
