"""Training files at Mistral: found by name and size, sent as one multipart request, ready as soon as they are there.

Knows nothing of jobs. Mistral looks into a file only when a job names it.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote

from msgspec.structs import replace

from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._http import Http, Lost, Unsent, file_form
from genomed.adapters._training_lines import openai_line
from genomed.adapters.mistral.objects import FilePage, MistralFile
from genomed.adapters.mistral.settings import NAME, MistralSettings
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import GenomeError, MalformedResponse, NotFound
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile, UploadOutcome, UploadState
from genomed.entities.rows import ChatRow, Message, Row

FILES = "v1/files"
PURPOSE = "fine-tune"
PAGE_SIZE = 100
CALL_ID = re.compile(r"[a-zA-Z0-9]{9}\Z")


class MistralFiles:
    """Fulfils ports.Uploads."""

    def __init__(self, http: Http, settings: MistralSettings, *, redact: Callable[[str], str]) -> None:
        self._http = http
        self._settings = settings
        self._redact = redact

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:  # noqa: ARG002 -- every job reads the same lines
        return openai_line(_with_their_ids(row) if isinstance(row, ChatRow) else row)

    async def find(self, file: UploadFile) -> Uploaded | None:
        """The name holds the content's hash; the size is compared too, so that a cut upload is not taken for it."""
        page = 0
        while True:
            query: dict[str, str | int] = {
                "search": file.name,
                "purpose": PURPOSE,
                "page": page,
                "page_size": PAGE_SIZE,
            }
            told = (await self._http.ask("GET", FILES, query=query)).read(FilePage)
            for one in told.data:
                if one.filename == _filename(file) and one.size_bytes == file.size_bytes and one.purpose == PURPOSE:
                    return Uploaded(provider_file_id=one.id, adopted=True)
            page += 1
            if not told.data or page * PAGE_SIZE >= (told.total or 0):
                return None

    async def put(self, file: UploadFile) -> UploadOutcome:
        form = file_form({"purpose": PURPOSE}, name=_filename(file), path=file.path)
        timeout_s = self._settings.timeout_s + file.size_bytes / self._settings.upload_bytes_per_s
        try:
            reply = await self._http.send("POST", FILES, form=form, timeout_s=timeout_s)
        except Unsent as unsent:
            return Deferred(reason=str(unsent))
        except Lost as lost:
            return Ambiguous(reason=str(lost))
        except GenomeError as refused:
            return Rejected(error=replace(refused.body(), provider=NAME, retryable=False))
        if not reply.ok:
            return create_outcome(refusal(reply.status, reply.headers, reply.body, redact=self._redact), NAME)
        try:
            return Uploaded(provider_file_id=reply.read(MistralFile).id)
        except MalformedResponse as unreadable:
            return Ambiguous(reason=unreadable.message)

    async def state(self, provider_file_id: str) -> UploadState:
        try:
            reply = await self._http.ask("GET", f"{FILES}/{quote(provider_file_id, safe='')}")
        except NotFound:
            return UploadState(ready=False, provider_status="404", gone=True)
        deleted = reply.read(MistralFile).deleted
        return UploadState(ready=not deleted, provider_status="deleted" if deleted else "uploaded", gone=deleted)


def _with_their_ids(row: ChatRow) -> ChatRow:
    """Ids of tool calls in the one form that Mistral takes (mistral-common, validator); they are marks, not words."""

    def theirs(identity: str) -> str:
        return identity if CALL_ID.match(identity) else sha256(identity.encode()).hexdigest()[:9]

    def turn(message: Message) -> Message:
        calls = message.tool_calls and tuple(replace(call, id=theirs(call.id)) for call in message.tool_calls)
        answered = message.tool_call_id and theirs(message.tool_call_id)
        return replace(message, tool_calls=calls, tool_call_id=answered)

    return replace(row, messages=tuple(map(turn, row.messages)))


def _filename(file: UploadFile) -> str:
    return f"{file.name}.jsonl"
