"""Datasets as Together's files: found by what they are, sent as a stream, and looked at until they may be named.

A file is the same when name, length and purpose agree: the name holds the hash of its content.
"""

from collections.abc import Callable
from urllib.parse import quote

from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._http import Http, HttpReply, Lost, Unsent, file_form
from genomed.adapters._training_lines import openai_line
from genomed.adapters.together.asking import NAME, ask
from genomed.adapters.together.wire import LARGEST_FILE_BYTES, ExistingFile, FileEntry, FileList
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    MalformedResponse,
    MissingCredentials,
    NotFound,
)
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile, UploadOutcome, UploadState
from genomed.entities.rows import Row

PURPOSE = "fine-tune"
READY = "COMPLETED"
BAD = frozenset({"FAILED", "INVALID_FORMAT"})
LONGEST_REASON = 500


class TogetherUploads:
    """bytes_per_s: the slowest line that an upload is waited for."""

    def __init__(self, http: Http, *, timeout_s: float, bytes_per_s: int, redact: Callable[[str], str] = str) -> None:
        self._http = http
        self._timeout_s = timeout_s
        self._bytes_per_s = bytes_per_s
        self._redact = redact

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:  # noqa: ARG002 -- every job reads the same lines
        return openai_line(row)

    async def find(self, file: UploadFile) -> Uploaded | None:
        """The finished one of several; a file that was found bad is no find."""
        listed = (await ask(self._http, "/files", FileList)).data or []
        same = [
            entry
            for entry in listed
            if (entry.filename, entry.bytes, entry.purpose) == (_name(file), file.size_bytes, PURPOSE)
            and _bad(entry) is None
        ]
        best = min(same, key=lambda entry: (not _is_ready(entry), entry.id), default=None)
        return None if best is None else Uploaded(provider_file_id=best.id, adopted=True)

    async def put(self, file: UploadFile) -> UploadOutcome:
        if file.size_bytes > LARGEST_FILE_BYTES:
            message = f"{file.size_bytes} bytes; together takes files of at most {LARGEST_FILE_BYTES}"
            return Rejected(error=_error(message))
        fields = {"purpose": PURPOSE, "file_name": _name(file), "file_type": "jsonl"}
        form = file_form(fields, name=_name(file), path=file.path)
        patience_s = self._timeout_s + file.size_bytes / self._bytes_per_s
        try:
            reply = await self._http.send("POST", "/files/upload", form=form, timeout_s=patience_s)
        except MissingCredentials as missing:
            return Rejected(error=missing.body())
        except Unsent as unsent:
            return Deferred(reason=str(unsent))
        except Lost as lost:
            return Ambiguous(reason=str(lost))
        return self._outcome(reply)

    async def state(self, provider_file_id: str) -> UploadState:
        try:
            entry = await ask(self._http, f"/files/{quote(provider_file_id, safe='')}", FileEntry)
        except NotFound:
            return UploadState(ready=False, provider_status="404", gone=True)
        word = entry.processing_status or ("processed" if entry.processed else "uploaded")
        if (reason := _bad(entry)) is not None:
            message = self._redact(f"together finds the file bad ({word}): {reason}")[:LONGEST_REASON]
            return UploadState(ready=False, provider_status=word, error=_error(message))
        return UploadState(ready=_is_ready(entry), provider_status=word)

    def _outcome(self, reply: HttpReply) -> UploadOutcome:
        try:
            if reply.ok:
                return Uploaded(provider_file_id=reply.read(FileEntry).id)
            if reply.status == 409:  # the same content is there already (SDK 3.1.1, FileAlreadyExistsError)
                return Uploaded(provider_file_id=reply.read(ExistingFile).file_id, adopted=True)
        except MalformedResponse as unreadable:
            return Ambiguous(reason=unreadable.message)
        return create_outcome(refusal(reply.status, reply.headers, reply.body, redact=self._redact), NAME)


def _name(file: UploadFile) -> str:
    return f"{file.name}.jsonl"


def _is_ready(entry: FileEntry) -> bool:
    """Files from before there was a processing status say `Processed`."""
    return entry.processing_status == READY if entry.processing_status else bool(entry.processed)


def _bad(entry: FileEntry) -> str | None:
    """Why it will never be ready; null while it may."""
    report = entry.validation_report
    if entry.processing_status not in BAD and (report is None or report.valid is not False):
        return None
    return (report.error if report else None) or "without a reason"


def _error(message: str) -> ErrorBody:
    return ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
