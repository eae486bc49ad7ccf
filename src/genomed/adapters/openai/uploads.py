"""How files reach an OpenAI-shaped server: in one request up to a size, in parts above it, found again by their name.

The name says the content, so a file of that name and size is that file. Knows rows only as lines of JSON.
"""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
from anyio import to_thread

from genomed.adapters._answers import create_outcome, rejection
from genomed.adapters._http import Lost, Unsent
from genomed.adapters._training_lines import openai_line
from genomed.adapters.openai.client import Refused
from genomed.adapters.openai.objects import FileObject
from genomed.adapters.openai.server import Server
from genomed.adapters.openai.settings import MOST_FILE_BYTES, NAME, OpenAISettings
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    Unsupported,
)
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile, UploadOutcome, UploadState
from genomed.entities.rows import ChatRow, Row, features_of

GONE_WORDS = frozenset({"deleted", "deleting", "expired"})
BAD_WORDS = frozenset({"error", "failed"})


class OpenAIUploads:
    def __init__(self, server: Server, settings: OpenAISettings, now_us: Callable[[], int]) -> None:
        self._server, self._settings, self._now_us = server, settings, now_us

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:
        """A job with a grader reads prompts, and the answer as a field for the grader."""
        if isinstance(row, ChatRow) and "grader" in configuration.metadata:
            if features := features_of(row):
                told = f"a job with a grader reads prompts, not {' and '.join(features)}"
                raise Unsupported(told, field="metadata.grader", provider=NAME)
            *prompt, answer = msgspec.to_builtins(row.messages)
            return msgspec.json.encode({"messages": prompt, "reference_answer": answer["content"]})
        return openai_line(row)

    async def find(self, file: UploadFile) -> Uploaded | None:
        """A ready one before one that is being looked at; the newest of them."""
        usable: list[FileObject] = []
        async with aclosing(self._server.files()) as pages:
            async for page in pages:
                usable += [there for there in page if self._is(file, there)]
        if not usable:
            return None
        best = max(usable, key=lambda there: (self._is_ready(there), there.created_at))
        return Uploaded(provider_file_id=best.id, adopted=True)

    async def put(self, file: UploadFile) -> UploadOutcome:
        if (lies := await to_thread.run_sync(_size, Path(file.path))) != file.size_bytes:
            return _no(ErrorKind.INVALID_REQUEST, f"{file.name} should have {file.size_bytes} bytes, not {lies}")
        if file.size_bytes > MOST_FILE_BYTES:
            return _no(ErrorKind.CAPACITY, f"{file.name} has more than the {MOST_FILE_BYTES:,} bytes that OpenAI takes")
        if file.size_bytes > self._settings.one_request_bytes:
            return await self._put_in_parts(file)
        try:
            made = await self._server.create_file(Path(file.path), name=_name(file), size_bytes=file.size_bytes)
        except Unsent as trouble:
            return Deferred(reason=str(trouble))
        except (Lost, MalformedResponse) as trouble:
            return Ambiguous(reason=str(trouble))
        except Refused as refused:
            return create_outcome(refused.refusal, NAME)
        except MissingCredentials as missing:
            return Rejected(error=missing.body())
        return Uploaded(provider_file_id=made.id)

    async def _put_in_parts(self, file: UploadFile) -> UploadOutcome:
        """Until it is completed there is no file, only parts that are thrown away after an hour."""
        try:
            upload = await self._server.create_upload(name=_name(file), size_bytes=file.size_bytes)
            parts = [await self._part(upload.id, file, offset) for offset in self._offsets(file)]
        except (Unsent, Lost, MalformedResponse) as trouble:
            return Deferred(reason=str(trouble))
        except Refused as refused:
            told = refused.refusal
            if told.status >= 500 or told.status in {408, 409, 429}:
                return Deferred(reason=told.message, retry_after_s=told.retry_after_s)
            return Rejected(error=rejection(told, NAME))
        except MissingCredentials as missing:
            return Rejected(error=missing.body())
        return await self._completed(upload.id, parts)

    async def _completed(self, upload_id: str, parts: list[str]) -> UploadOutcome:
        try:
            done = await self._server.complete_upload(upload_id, parts)
        except (Unsent, Lost, MalformedResponse) as trouble:
            return Ambiguous(reason=str(trouble))
        except Refused as refused:
            return create_outcome(refused.refusal, NAME)
        if done.file is None:
            return Ambiguous(reason=f"upload {upload_id} is {done.status}, and no file is named")
        return Uploaded(provider_file_id=done.file.id)

    async def state(self, provider_file_id: str) -> UploadState:
        try:
            there = await self._server.file(provider_file_id)
        except NotFound:
            return UploadState(ready=False, provider_status="404", gone=True)
        word = there.status or "none told"
        if self._is_gone(there):
            return UploadState(ready=False, provider_status=word, gone=True)
        if there.status in BAD_WORDS:
            message = f"OpenAI found the file bad: {there.status_details or 'it does not say why'}"
            error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
            return UploadState(ready=False, provider_status=word, error=error)
        return UploadState(ready=self._is_ready(there), provider_status=word)

    async def _part(self, upload_id: str, file: UploadFile, offset: int) -> str:
        length = min(self._settings.part_bytes, file.size_bytes - offset)
        return (await self._server.add_part(upload_id, Path(file.path), offset=offset, length=length)).id

    def _offsets(self, file: UploadFile) -> range:
        return range(0, file.size_bytes, self._settings.part_bytes)

    def _is(self, file: UploadFile, there: FileObject) -> bool:
        same = (there.filename, there.bytes) == (_name(file), file.size_bytes)
        return same and there.status not in BAD_WORDS and not self._is_gone(there)

    def _is_ready(self, there: FileObject) -> bool:
        """A server that no longer tells a state has none that one could wait for."""
        return there.status is None or there.status in self._settings.ready_words

    def _is_gone(self, there: FileObject) -> bool:
        expired = there.expires_at is not None and there.expires_at * 1e6 <= self._now_us()
        return expired or there.status in GONE_WORDS


def _name(file: UploadFile) -> str:
    return f"{file.name}.jsonl"


def _size(path: Path) -> int:
    return path.stat().st_size


def _no(kind: ErrorKind, message: str) -> Rejected:
    return Rejected(error=ErrorBody(kind=kind, message=message, retryable=False, provider=NAME))
