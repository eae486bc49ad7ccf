"""What the emulated OpenAI keeps, and how it shows files: plain data in the published shapes."""

from msgspec import Struct
from tests.emulators.emulator import Steps
from tests.emulators.published_spec import Part

LABEL = "genome_job"


class StoredFile(Struct, kw_only=True):
    id: str
    filename: str
    size_bytes: int
    sha256: str
    created_at: int
    purpose: str = "fine-tune"
    data: bytes | None = None
    walk: Steps
    expires_at: int | None = None


class StoredUpload(Struct, kw_only=True):
    id: str
    filename: str
    size_bytes: int
    created_at: int
    parts: dict[str, Part] = {}
    status: str = "pending"
    file: StoredFile | None = None


class StoredJob(Struct, kw_only=True):
    """body: what made it. late_model: how many answers say `succeeded` before the model's name is there."""

    id: str
    body: dict[str, object]
    walk: Steps
    created_at: int
    metadata: dict[str, str] | None = None
    late_model: int = 0
    step: int = 0
    events: list[dict[str, object]] = []
    checkpoints: list[dict[str, object]] = []
    error: dict[str, object] | None = None


def label_of(body: dict[str, object]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get(LABEL, "")) if isinstance(metadata, dict) else ""


def asked_for(body: dict[str, object]) -> dict[str, object]:
    method = body.get("method")
    section = method[method["type"]] if isinstance(method, dict) else body
    asked = section.get("hyperparameters", {})
    assert isinstance(asked, dict)
    return asked


def file_out(file: StoredFile) -> dict[str, object]:
    bad = file.walk.word == "error"
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": file.walk.word,
        **({"status_details": "line 1 is no conversation"} if bad else {}),
        **({"expires_at": file.expires_at} if file.expires_at is not None else {}),
    }


def upload_out(upload: StoredUpload) -> dict[str, object]:
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size_bytes,
        "created_at": upload.created_at,
        "expires_at": upload.created_at + 3600,
        "filename": upload.filename,
        "purpose": "fine-tune",
        "status": upload.status,
        "file": None if upload.file is None else file_out(upload.file),
    }
