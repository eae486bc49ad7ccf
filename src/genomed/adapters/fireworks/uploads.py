"""Sending a dataset to Fireworks: a record with an id of ours, then its content, then its validation.

Three steps, and a crash between any two of them leaves a record that waits for its content: whoever comes next
completes that one. The record's id is the content's hash, so a second record cannot come about.
"""

from pathlib import Path

import anyio

from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._http import HttpReply, Lost, Unsent, file_form
from genomed.adapters._training_lines import openai_line
from genomed.adapters.fireworks.client import FireworksClient
from genomed.adapters.fireworks.settings import FireworksSettings
from genomed.adapters.fireworks.wire import NAME, Dataset, SignedUrls, Status, identity_of, read, resource, word_of
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorBody, ErrorKind, NotFound
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile, UploadOutcome, UploadState
from genomed.entities.rows import Row

COLLECTION = "datasets"
READY, UPLOADING = "READY", "UPLOADING"
ANSWERED_ALREADY = 409


class FireworksUploads:
    """Fulfils ports.Uploads."""

    def __init__(self, client: FireworksClient, settings: FireworksSettings) -> None:
        self._client = client
        self._settings = settings

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:  # noqa: ARG002 -- every job reads the same lines
        return openai_line(row)

    async def find(self, file: UploadFile) -> Uploaded | None:
        """Only what is whole: a record that waits for its content is for `put` to complete.

        Whether it waits for content or for its validation, Fireworks does not say: it is given a moment to settle.
        """
        for look in range(self._settings.settle_looks):
            if look:
                await anyio.sleep(self._settings.settle_pause_s)
            there = await self._record(file.name)
            if there is None or _differs(there, file) or _is_bad(there):
                return None
            if word_of(there.state) == READY:
                return Uploaded(provider_file_id=self._name(file), adopted=True)
        return None

    async def put(self, file: UploadFile) -> UploadOutcome:
        try:
            made = await self._made(file)
            if made is not None:
                return made
            sent = await self._content(file)
        except Unsent as failed:
            return Deferred(reason=str(failed))
        except Lost as failed:
            return Ambiguous(reason=str(failed))
        if sent.ok:
            return Uploaded(provider_file_id=self._name(file))
        # The content may have arrived before: then the record is no longer open to it, and that is what was wanted.
        if sent.status in {400, ANSWERED_ALREADY} and await self.find(file) is not None:
            return Uploaded(provider_file_id=self._name(file), adopted=True)
        return self._outcome(sent)

    async def state(self, provider_file_id: str) -> UploadState:
        there = await self._record(identity_of(provider_file_id))
        if there is None:
            return UploadState(ready=False, provider_status="404", gone=True)
        word = word_of(there.state)
        if _is_bad(there):
            told = there.status or Status()
            message = self._client.redact(told.message) or f"Fireworks says {told.code}"
            return UploadState(ready=False, provider_status=word, error=_rejected(message))
        return UploadState(ready=word == READY, provider_status=word)

    async def _made(self, file: UploadFile) -> UploadOutcome | None:
        """The record is there and open to its content: null. Otherwise what there is to say instead."""
        body = {"exampleCount": str(file.rows), "userUploaded": {}}  # an int64 is text in its JSON
        reply = await self._client.send(
            lambda sdk: sdk.datasets.with_raw_response.create(
                dataset_id=file.name, dataset={}, extra_body={"dataset": body}
            )
        )
        if reply.ok:
            return None
        if reply.status != ANSWERED_ALREADY:
            return self._outcome(reply)
        there = await self._record(file.name)
        if there is None:
            return Deferred(reason=f"Fireworks says that dataset {file.name} exists, and does not find it")
        if _differs(there, file):
            message = f"dataset {file.name} is there with {there.example_count} rows, not {file.rows}: not ours"
            return Rejected(error=_rejected(message))
        return Uploaded(provider_file_id=self._name(file), adopted=True) if word_of(there.state) == READY else None

    async def _content(self, file: UploadFile) -> HttpReply:
        if file.size_bytes <= self._settings.one_request_bytes:
            return await self._in_one_request(file)
        return await self._to_signed_url(file)

    async def _in_one_request(self, file: UploadFile) -> HttpReply:
        """Not by the SDK's own `upload`: it holds the whole file in memory."""
        form = file_form({}, name=f"{file.name}.jsonl", path=file.path)
        timeout_s = self._settings.upload_timeout_s
        return await self._client.plain.send("POST", f"/v1/{self._name(file)}:upload", form=form, timeout_s=timeout_s)

    async def _to_signed_url(self, file: UploadFile) -> HttpReply:
        """Above the limit of one request: an address to write to, the bytes, and the word that they are there."""
        name, size = f"{file.name}.jsonl", str(file.size_bytes)
        given = await self._client.send(
            lambda sdk: sdk.datasets.with_raw_response.get_upload_endpoint(file.name, filename_to_size={name: size})
        )
        if not given.ok:
            return given
        url = read(given, SignedUrls).filename_to_signed_urls.get(name)
        if not url:
            return HttpReply(status=502, headers={}, body=b"no address for the file was given", provider=NAME)
        # Both headers are part of what is signed.
        headers = {"Content-Type": "application/octet-stream", "X-Goog-Content-Length-Range": f"{size},{size}"}
        put = await self._client.signed.put_file(
            url, Path(file.path), headers=headers, timeout_s=self._settings.upload_timeout_s
        )
        if not put.ok:
            # An address that expired or was refused is asked for anew; nothing is wrong with the file.
            return HttpReply(status=503, headers=put.headers, body=put.body, provider=NAME)
        return await self._client.send(lambda sdk: sdk.datasets.with_raw_response.validate_upload(file.name, body={}))

    async def _record(self, identity: str) -> Dataset | None:
        try:
            reply = await self._client.ask(lambda sdk: sdk.datasets.with_raw_response.get(identity))
        except NotFound:
            return None
        return read(reply, Dataset)

    def _outcome(self, reply: HttpReply) -> UploadOutcome:
        told = refusal(reply.status, reply.headers, reply.body, redact=self._client.redact)
        return create_outcome(told, NAME)

    def _name(self, file: UploadFile) -> str:
        return resource(self._client.account, COLLECTION, file.name)


def _differs(there: Dataset, file: UploadFile) -> bool:
    return there.example_count not in {None, 0, file.rows}  # 0: not counted yet


def _is_bad(there: Dataset) -> bool:
    return word_of(there.state) != READY and there.status is not None and there.status.is_error


def _rejected(message: str) -> ErrorBody:
    return ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
