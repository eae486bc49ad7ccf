"""The part of the Hugging Face Hub that an upload speaks to, on the loopback: repositories, LFS objects, commits.

Every request is checked for its shape: a field that is not known here, a missing one, a wrong media type or a token
where none belongs is a failure that `wrong` keeps. Knows nothing of genomed. Shapes: huggingface_hub 1.33 (`hf_api.py`,
`_commit_api.py`, `lfs.py`) and git-lfs, docs/api/batch.md.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from tests.emulators.faults import FaultKind, Faults

TOKEN = "hf_fake_0123456789abcdef"
USER = "somebody"
LFS_FROM_BYTES = 4096
"""The hub takes weights by LFS whatever their size, and other files from some size on."""

T = TypeVar("T")


class Create(Struct, forbid_unknown_fields=True):
    name: str
    organization: str | None
    type: Literal["model"] | UnsetType = UNSET
    private: bool | UnsetType = UNSET
    visibility: Literal["private", "public"] | UnsetType = UNSET


class Sample(Struct, forbid_unknown_fields=True):
    path: str
    sample: str
    size: int


class Preupload(Struct, forbid_unknown_fields=True):
    files: list[Sample]


class Yaml(Struct, forbid_unknown_fields=True, rename="camel"):
    content: str
    repo_type: Literal["model"]


class Object(Struct, forbid_unknown_fields=True):
    oid: str
    size: int


class Ref(Struct, forbid_unknown_fields=True):
    name: str


class Batch(Struct, forbid_unknown_fields=True):
    operation: Literal["upload"]
    transfers: list[str]
    objects: list[Object]
    hash_algo: Literal["sha256"]
    ref: Ref | None = None


class Header(Struct, forbid_unknown_fields=True):
    summary: str
    description: str


class File(Struct, forbid_unknown_fields=True):
    content: str
    path: str
    encoding: Literal["base64"]


class LfsFile(Struct, forbid_unknown_fields=True):
    path: str
    algo: Literal["sha256"]
    oid: str
    size: int


class HeaderLine(Struct, forbid_unknown_fields=True, tag_field="key", tag="header"):
    value: Header


class FileLine(Struct, forbid_unknown_fields=True, tag_field="key", tag="file"):
    value: File


class LfsLine(Struct, forbid_unknown_fields=True, tag_field="key", tag="lfsFile"):
    value: LfsFile


Line = HeaderLine | FileLine | LfsLine


class Repository(Struct):
    private: bool
    commits: list[str]
    files: dict[str, bytes]


class HubServer:
    """repositories: by whole name. asked: how often each operation came. wrong: what no client of it may send."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults = Faults()
        self.asked: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.url = ""

    def routes(self) -> list[web.RouteDef]:
        model = "/api/models/{owner}/{name}"
        table: list[tuple[str, str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
            ("POST", "/api/repos/create", "create_repo", self._create),
            ("POST", "/api/validate-yaml", "validate_yaml", self._validate),
            ("POST", model + "/preupload/{revision}", "preupload", self._preupload),
            ("POST", "/{owner}/{name}.git/info/lfs/objects/batch", "lfs_batch", self._batch),
            ("PUT", "/storage/{oid}", "lfs_put", self._put),
            ("POST", "/storage/{oid}/verify", "lfs_verify", self._verify),
            ("POST", model + "/commit/{revision}", "commit", self._commit),
            ("GET", model + "/revision/{revision}", "repo_info", self._info),
            ("GET", model, "repo_info", self._info),
        ]
        return [web.route(method, path, self._guarded(name, work)) for method, path, name, work in table]

    def _guarded(
        self, operation: str, work: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answered(request: web.Request) -> web.Response:
            self.asked[operation] += 1
            await request.read()
            if self.faults.take(operation, FaultKind.LOSE_REQUEST) is not None:
                return _cut(request)
            if (fault := self.faults.take(operation, FaultKind.STATUS)) is not None:
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                return web.json_response({"error": "as asked for"}, status=fault.code, headers=headers)
            signed = operation == "lfs_put"
            if ("Authorization" in request.headers) == signed:
                self.wrong.append(f"{operation}: a token where none belongs, or none where one does")
            if not signed and request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.json_response({"error": "Invalid credentials"}, status=401)
            try:
                reply = await work(request)
            except (msgspec.MsgspecError, ValueError, KeyError) as malformed:
                self.wrong.append(f"{operation}: {malformed}")
                return web.json_response({"error": str(malformed)}, status=400)
            return _cut(request) if self.faults.take(operation, FaultKind.LOSE_REPLY) else reply

        return answered

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await _body(request, Create)
        name = f"{wanted.organization or USER}/{wanted.name}"
        url = f"{self.url}/{name}"
        if name in self.repositories:
            return web.json_response({"error": "You already created this model repo", "url": url}, status=409)
        private = wanted.visibility == "private" or wanted.private is True
        self.repositories[name] = Repository(private=private, commits=["0" * 40], files={})
        return web.json_response({"url": url, "name": name})

    async def _validate(self, request: web.Request) -> web.Response:
        card = (await _body(request, Yaml)).content
        head = card.removeprefix("---\n").partition("\n---\n")
        errors = [] if card.startswith("---\n") and head[1] else [{"message": "no front matter"}]
        return web.json_response({"errors": errors, "warnings": []}, status=400 if errors else 200)

    async def _preupload(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        files = []
        for file in (await _body(request, Preupload)).files:
            sample = base64.b64decode(file.sample, validate=True)
            if len(sample) > min(512, file.size):
                raise ValueError(f"{file.path}: a sample of {len(sample)} bytes")
            mode = "lfs" if file.path.endswith(".safetensors") or file.size > LFS_FROM_BYTES else "regular"
            held = repository.files.get(file.path)
            oid = None if held is None else (hashlib.sha256(held).hexdigest() if mode == "lfs" else _blob(held))
            files.append({"path": file.path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return web.json_response({"files": files})

    async def _batch(self, request: web.Request) -> web.Response:
        self._repository(request)
        if request.content_type != "application/vnd.git-lfs+json":
            raise ValueError(f"media type {request.content_type}")
        objects = []
        for wanted in (await _body(request, Batch)).objects:
            entry: dict[str, object] = {"oid": wanted.oid, "size": wanted.size}
            if wanted.oid not in self.objects:
                place = f"{self.url}/storage/{wanted.oid}"
                entry["actions"] = {"upload": {"href": place, "header": {}}, "verify": {"href": f"{place}/verify"}}
            objects.append(entry)
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _put(self, request: web.Request) -> web.Response:
        data, oid = await request.read(), request.match_info["oid"]
        if hashlib.sha256(data).hexdigest() != oid:
            raise ValueError(f"{len(data)} bytes that are not {oid}")
        self.objects[oid] = data
        return web.Response()

    async def _verify(self, request: web.Request) -> web.Response:
        wanted = await _body(request, Object)
        if len(self.objects[wanted.oid]) != wanted.size:
            raise ValueError(f"{wanted.oid} is not {wanted.size} bytes long")
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-ndjson":
            raise ValueError(f"media type {request.content_type}")
        repository = self._repository(request)
        first, *lines = [msgspec.json.decode(line, type=Line) for line in (await request.read()).splitlines()]
        if not isinstance(first, HeaderLine) or not lines:
            raise ValueError("a commit opens with its header and holds something")
        files = dict(repository.files)
        for line in lines:
            if isinstance(line, FileLine):
                files[line.value.path] = base64.b64decode(line.value.content, validate=True)
            elif isinstance(line, LfsLine):
                files[line.value.path] = self.objects[line.value.oid]
            else:
                raise ValueError("a second header")  # noqa: TRY004 -- of the request, not of a caller
        repository.files = files
        repository.commits.append(hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest())
        return self._told(request, repository)

    def _told(self, request: web.Request, repository: Repository) -> web.Response:
        commit = repository.commits[-1]
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        return web.json_response({"commitUrl": f"{self.url}/{name}/commit/{commit}", "commitOid": commit})

    async def _info(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        siblings = [{"rfilename": path} for path in sorted(repository.files)]
        return web.json_response(
            {"id": name, "sha": repository.commits[-1], "siblings": siblings, "private": repository.private}
        )

    def _repository(self, request: web.Request) -> Repository:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        if name not in self.repositories:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        return self.repositories[name]


def _blob(data: bytes) -> str:
    """As git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


async def _body(request: web.Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.read(), type=kind)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=499)


@asynccontextmanager
async def hub_server() -> AsyncIterator[HubServer]:
    server = HubServer()
    application = web.Application(client_max_size=1 << 26)
    application.add_routes(server.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
