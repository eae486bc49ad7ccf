"""The file half of the emulated OpenAI: files, uploads in parts, and how every list of it is paged.

A file moves one word on with each GET of it. Knows no jobs.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import ClassVar, TypeVar

from tests.emulators.emulator import API_KEY, Call, Emulator, Refused, Route
from tests.emulators.faults import FaultKind
from tests.emulators.openai_objects import StoredFile, StoredUpload, file_out, upload_out

T = TypeVar("T")


class OpenAIFiles(Emulator):
    """ignores_after: every page of a list is the first."""

    provider: ClassVar[str] = "openai"
    prefix: ClassVar[str] = "/v1"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.files: dict[str, StoredFile] = {}
        self.uploads: dict[str, StoredUpload] = {}
        self.ignores_after = False
        self._ids = 0

    def file_routes(self) -> Sequence[Route]:
        at = self.prefix
        return (
            Route(operation="upload", method="POST", path=f"{at}/files", handler=self._upload),
            Route(operation="list_files", method="GET", path=f"{at}/files", handler=self._list_files),
            Route(operation="upload_state", method="GET", path=f"{at}/files/{{file_id}}", handler=self._file),
            Route(operation="start_upload", method="POST", path=f"{at}/uploads", handler=self._start_upload),
            Route(operation="upload_part", method="POST", path=f"{at}/uploads/{{id}}/parts", handler=self._part),
            Route(operation="end_upload", method="POST", path=f"{at}/uploads/{{id}}/complete", handler=self._complete),
        )

    def error_body(self, status: int, message: str, code: str | None = None) -> object:
        codes = {401: "invalid_api_key", 429: "rate_limit_exceeded", 500: "server_error"}
        told = {"message": message, "type": "invalid_request_error", "param": None, "code": code or codes.get(status)}
        return {"error": told}

    async def _upload(self, call: Call) -> object:
        part = (call.parts or {})["file"]
        return file_out(self._new_file(part.filename or "", part.size_bytes, part.sha256, part.data))

    def _new_file(self, filename: str, size_bytes: int, digest: str, data: bytes | None) -> StoredFile:
        bad = self.faults.take("upload", FaultKind.FAIL_VALIDATION)
        file = StoredFile(
            id=self._new_id("file"),
            filename=filename,
            size_bytes=size_bytes,
            sha256=digest,
            created_at=int(self.now_s()),
            data=data,
            walk=self.steps(("uploaded", "error" if bad else "processed"), working=""),
        )
        self.files[file.id] = file
        return file

    async def _list_files(self, call: Call) -> object:
        found = [file for file in self.files.values() if file.purpose == call.asked("purpose", file.purpose)]
        found.sort(key=lambda file: file.id, reverse=call.asked("order", "desc") == "desc")
        shown = self.listed("list_files", found, key=lambda file: file.id)
        page, more = self._page(call, shown, key=lambda file: file.id, limit=10_000)
        ids = [file.id for file in page] or [""]
        data = [file_out(file) for file in page]
        return {"object": "list", "data": data, "first_id": ids[0], "last_id": ids[-1], "has_more": more}

    async def _file(self, call: Call) -> object:
        file = self.files.get(call.params["file_id"])
        if file is None:
            raise Refused(404, self.error_body(404, f"No such File object: {call.params['file_id']}"))
        file.walk.step()
        return file_out(file)

    async def _start_upload(self, call: Call) -> object:
        upload = StoredUpload(
            id=self._new_id("upload"),
            filename=str(call.fields["filename"]),
            size_bytes=int(str(call.fields["bytes"])),
            created_at=int(self.now_s()),
        )
        self.uploads[upload.id] = upload
        return upload_out(upload)

    async def _part(self, call: Call) -> object:
        upload = self._pending(call)
        part_id = self._new_id("part")
        upload.parts[part_id] = (call.parts or {})["data"]
        created_at = int(self.now_s())
        return {"id": part_id, "object": "upload.part", "created_at": created_at, "upload_id": upload.id}

    async def _complete(self, call: Call) -> object:
        upload = self._pending(call)
        ids = call.fields["part_ids"]
        assert isinstance(ids, list)
        body = b"".join(upload.parts[part_id].data or b"" for part_id in ids)
        if len(body) != upload.size_bytes:
            told = f"{len(body)} bytes were sent, {upload.size_bytes} were announced"
            raise Refused(400, self.error_body(400, told))
        upload.status = "completed"
        upload.file = self._new_file(upload.filename, len(body), sha256(body).hexdigest(), body)
        return upload_out(upload)

    def _pending(self, call: Call) -> StoredUpload:
        upload = self.uploads.get(call.params["id"])
        if upload is None or upload.status != "pending":
            raise Refused(404, self.error_body(404, "no such upload, or it has ended"))
        return upload

    def _page(self, call: Call, items: Sequence[T], *, key: Callable[[T], str], limit: int) -> tuple[list[T], bool]:
        after = "" if self.ignores_after else call.asked("after")
        places = [n + 1 for n, item in enumerate(items) if key(item) == after]
        rest = items[places[-1] if places else 0 :]
        limit = min(int(call.asked("limit", str(limit))), limit if limit > 20 else 100)
        return list(rest[:limit]), len(rest) > limit

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}-{self._ids:012d}"
