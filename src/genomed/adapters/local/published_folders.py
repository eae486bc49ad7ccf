"""Whether folders that were published here are still what was published, before work is done on them. Blocking.

Knows that a folder is a layer's or an export's by the manifest in it; what the log says of the manifest, it is told.
"""

from collections.abc import Mapping
from pathlib import Path

from genomed.adapters.local import errand_publication, layer_trust
from genomed.entities.errors import Conflict


def demand(published: Mapping[str, str]) -> None:
    """published: folder -> sha256 of its manifest. Reads every file. Raises Conflict, OSError."""
    for path, manifest_sha256 in published.items():
        folder = Path(path)
        try:
            if (folder / errand_publication.MANIFEST_NAME).exists():
                errand_publication.verify(folder, manifest_sha256)
            else:
                layer_trust.verified(folder, manifest_sha256=manifest_sha256)
        except layer_trust.Untrusted as wrong:
            remedy = "put the files back from a backup"
            raise Conflict(f"{folder} is not opened: {wrong}", provider="local", remedy=remedy) from wrong
