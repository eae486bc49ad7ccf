"""What an import left that the log never heard the end of: removed at the start, before anybody can import again.

A job's layer is published anew under its own id, an import never is: without this its files would lie there for ever.
Whatever does not say of itself that it was imported is left alone.
"""

from pathlib import Path
from shutil import rmtree

import anyio
import msgspec

from genomed.adapters._layer_manifest import MANIFEST_NAME, decode
from genomed.daemon.journal.journal import Journal

_KNOWN = "SELECT layer_id FROM layers"
ASIDE = ".import"


async def remove_unheard_imports(journal: Journal, layers_dir: Path) -> tuple[str, ...]:
    """The names that went. Raises OSError."""
    known = frozenset(str(layer_id) for (layer_id,) in await journal.query(_KNOWN))
    return await anyio.to_thread.run_sync(_remove, layers_dir, known)


def _remove(layers_dir: Path, known: frozenset[str]) -> tuple[str, ...]:
    if not layers_dir.is_dir():
        return ()
    gone = [path for path in sorted(layers_dir.iterdir()) if path.name not in known and _is_left(path)]
    for path in gone:
        rmtree(path)
    return tuple(path.name for path in gone)


def _is_left(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    if path.name.startswith("."):
        return path.name.endswith(ASIDE)
    try:
        return "importedFrom" in decode((path / MANIFEST_NAME).read_bytes()).lineage
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
