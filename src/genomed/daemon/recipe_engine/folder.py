"""A run's folder: its own copy of its inputs, and the plan that follows from it, the same whenever it is made again.

All file work is in threads. Knows recipes by their port; asks no model.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import hash_file, sync_folder
from genomed.daemon.recipe_engine.rim import foreign
from genomed.entities.envelope import blob_of
from genomed.entities.errors import Capacity, Conflict, Internal, InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.recipe_port import KEY_MAX, Recipe, WorkItem
from genomed.entities.recipe_shelf import KeptInputs, Planned, PlanRequest

INPUTS = "inputs.jsonl"
LONGEST_LINE_BYTES = 8 << 20
MAX_LINES_NAMED = 100
KEYS_SHOWN = 5
FETCHED = ".fetched-"
"""Between a run's id and what is random in the name of the folder that holds what was fetched for it."""

MOST_ITEMS = 1_000_000
"""A plan without an end would never start."""


class Templates(Struct, frozen=True):
    """A recipe's prompts by name. sha256: over all of them; null where it has none."""

    texts: dict[str, str]
    sha256: str | None

    def __call__(self, name: str) -> str:
        if name not in self.texts:
            raise Internal(f"the recipe has no template {name!r}; it has: {', '.join(sorted(self.texts)) or 'none'}")
        return self.texts[name]


class RecipeFolder:
    """Runs' folders below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept_here: set[str] = set()
        """Runs whose inputs this process keeps: the log may not know them yet."""

    def inputs_path(self, run_id: str) -> Path:
        return self._folder / run_id / INPUTS

    def inputs(self, run_id: str) -> Callable[[], Iterator[Mapping[str, object]]]:
        """Reads the copy from its beginning whenever it is called; nothing where the run has none. Blocking."""
        path = self.inputs_path(run_id)

        def read() -> Iterator[Mapping[str, object]]:
            if not path.exists():
                return
            decoder = msgspec.json.Decoder(JsonObject)
            with path.open("rb") as lines:
                for line in lines:
                    yield decoder.decode(line)

        return read

    async def keep(self, run_id: str, path: str) -> KeptInputs:
        self._kept_here.add(run_id)
        return await anyio.to_thread.run_sync(self._keep, run_id, Path(path))

    async def keep_lines(self, run_id: str, lines: Sequence[JsonObject]) -> KeptInputs:
        """Of what was fetched rather than lay in a file."""
        self._kept_here.add(run_id)

        def work() -> KeptInputs:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Named after the run, as `clear` knows what belongs to a run that is about to start.
            with TemporaryDirectory(prefix=f"{run_id}{FETCHED}", dir=self._folder) as fetched:
                path = Path(fetched) / INPUTS
                path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
                return self._keep(run_id, path)

        return await anyio.to_thread.run_sync(work)

    async def discard(self, run_id: str) -> None:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._folder / run_id, ignore_errors=True))
        self._kept_here.discard(run_id)

    async def clear(self, started: Collection[str]) -> None:
        """Folders of runs that the log does not know, left by a stop between the copy and the append.

        A run that is about to start keeps its own: this process remembers it.
        """

        def swept() -> None:
            found = self._folder.iterdir() if self._folder.exists() else ()
            for folder in list(found):
                if folder.name not in started and folder.name.partition(FETCHED)[0] not in self._kept_here:
                    shutil.rmtree(folder, ignore_errors=True)

        await anyio.to_thread.run_sync(swept)

    async def verify(self, run_id: str, wanted: str | None) -> None:
        """Raises Conflict where the copy is not what the run was started with."""

        def found() -> str | None:
            path = self.inputs_path(run_id)
            return hash_file(path) if path.exists() else None

        if await anyio.to_thread.run_sync(found) != wanted:
            raise Conflict(
                f"the inputs of {run_id} are not what it was started with",
                remedy="start the recipe anew with the same draft: what is done stays",
            )

    async def templates(self, recipe: Recipe) -> Templates:
        return await anyio.to_thread.run_sync(_templates, recipe)

    def plan(self, recipe: Recipe, asked: PlanRequest) -> Iterator[WorkItem]:
        """Blocking: to be drawn from in a thread. Raises as the recipe's plan does, and InvalidRequest for bad keys."""
        inputs = self.inputs(asked.run_id)()
        try:
            with foreign(f"the plan of recipe {recipe.name}"):
                for item in recipe.plan(asked.params, inputs=inputs, wanted=asked.wanted, seed=asked.seed):
                    _require_key(recipe, item)
                    yield item
        except ValueError as wrong:
            raise InvalidRequest(
                f"recipe {recipe.name} cannot plan with these inputs: {wrong}", field="inputs"
            ) from None

    async def planned(self, recipe: Recipe, asked: PlanRequest) -> Planned:
        """Raises InvalidRequest for a plan in which a key comes twice, or that has no end."""

        def counted() -> Planned:
            keys: set[str] = set()
            first: list[str] = []
            for item in self.plan(recipe, asked):
                if item.key in keys:
                    raise InvalidRequest(f"recipe {recipe.name} plans two work items with the key {item.key!r}")
                if len(keys) == MOST_ITEMS:
                    raise InvalidRequest(
                        f"recipe {recipe.name} plans more than {MOST_ITEMS} work items", field="wanted"
                    )
                keys.add(item.key)
                first += [item.key] * (len(first) < KEYS_SHOWN)
            return Planned(items=len(keys), keys=tuple(first), prompts_sha256=_templates(recipe).sha256)

        return await anyio.to_thread.run_sync(counted)

    async def first_items(self, recipe: Recipe, asked: PlanRequest, *, limit: int) -> Sequence[WorkItem]:
        return await anyio.to_thread.run_sync(lambda: list(islice(self.plan(recipe, asked), limit)))

    async def find(self, recipe: Recipe, asked: PlanRequest, key: str) -> WorkItem | None:
        """The work item of this key, by planning again."""

        def sought() -> WorkItem | None:
            return next((item for item in self.plan(recipe, asked) if item.key == key), None)

        return await anyio.to_thread.run_sync(sought)

    def _keep(self, run_id: str, source: Path) -> KeptInputs:
        folder = self._folder / run_id
        try:
            folder.mkdir(mode=0o700, parents=True)
            kept = _copy(source, folder / INPUTS)
            sync_folder(folder)
            sync_folder(self._folder)
            sync_folder(self._folder.parent)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.filename == str(source):
                problem = Problem(field="inputs.path", message=f"{source} cannot be read: {error.strerror}")
                raise InvalidRequest.of([problem]) from None
            raise Capacity(f"the inputs cannot be copied: {error.strerror}") from None
        except InvalidRequest:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return kept


def _copy(source: Path, target: Path) -> KeptInputs:
    """Line by line, so that memory does not grow with the file. Raises InvalidRequest naming every bad line."""
    decoder, seen = msgspec.json.Decoder(JsonObject), sha256()
    wrong: list[Problem] = []
    rows = more = 0
    with source.open("rb") as lines, target.open("xb") as writer:
        for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE_BYTES + 1), b""), 1):
            if not line.strip():
                continue
            complaint = _complaint(line, decoder)
            if complaint is None:
                kept = line.strip() + b"\n"
                writer.write(kept)
                seen.update(kept)
                rows += 1
            elif len(wrong) < MAX_LINES_NAMED:
                wrong.append(Problem(field=f"inputs line {number}", message=complaint))
            else:
                more += 1
        writer.flush()
        os.fsync(writer.fileno())
        size = writer.tell()
    if more:
        wrong.append(Problem(field="inputs", message=f"and {more} bad lines more"))
    if not rows and not wrong:
        wrong.append(Problem(field="inputs", message="hold nothing", remedy="one JSON object on each line"))
    if wrong:
        raise InvalidRequest.of(wrong)
    return KeptInputs(sha256=seen.hexdigest(), rows=rows, size_bytes=size)


def _complaint(line: bytes, decoder: "msgspec.json.Decoder[JsonObject]") -> str | None:
    if len(line) > LONGEST_LINE_BYTES:
        return f"is longer than {LONGEST_LINE_BYTES} bytes"
    try:
        decoder.decode(line)
    except msgspec.ValidationError:
        return "is no JSON object"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"is no JSON: {error}"
    return None


def _require_key(recipe: Recipe, item: WorkItem) -> None:
    if not 0 < len(item.key) <= KEY_MAX or not item.key.isprintable():
        raise InvalidRequest(
            f"recipe {recipe.name} plans a work item with the key {item.key[:KEY_MAX]!r};"
            f" a key has 1 to {KEY_MAX} printable characters"
        )


def _templates(recipe: Recipe) -> Templates:
    """In a thread: a recipe may read its prompts only now."""
    try:
        with foreign(f"the templates of recipe {recipe.name}"):
            texts = dict(recipe.templates)
    except ValueError as wrong:
        raise Internal(f"the templates of recipe {recipe.name} cannot be read: {type(wrong).__name__}") from None
    return Templates(texts, blob_of(texts).sha256 if texts else None)
