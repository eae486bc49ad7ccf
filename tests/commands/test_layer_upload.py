"""layer-upload sends a layer to the hub by a real errand, with a secret that only its process is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.commands.local_layers import errand_ended, local_layer, working
from tests.daemon.daemon_rig import Json
from tests.emulators.hub_server import TOKEN, HubServer, hub_server

from genomed.adapters.local.settings import WORKER


def allowed(root: Path) -> tuple[str, Json]:
    """A secret in a file of its owner's, and the settings that let it go elsewhere."""
    held = root / "token"
    held.write_text(TOKEN)
    held.chmod(0o600)
    reference = f"file:{held}"
    return reference, {"secrets": {"allowed": [reference]}}


def files_with_the_token(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with hub_server() as server:
        yield server
        assert server.wrong == []


async def test_a_layer_arrives_and_its_token_is_written_nowhere(tmp_path: Path, hub: HubServer) -> None:
    reference, settings = allowed(tmp_path)
    async with working(tmp_path, more=settings, worker=str(WORKER), sandbox="auto") as rig:
        layer_id = await local_layer(rig, tmp_path)
        asked = {"layerId": layer_id, "repo": "me/house", "apiToken": reference, "endpoint": hub.url}
        errand_id = (await rig.call("layer-upload", asked))["errand"]["errandId"]
        record = await errand_ended(rig, errand_id)
        assert record.finished is not None, record.error
        repository = hub.repositories["me/house"]
        assert repository.private
        assert sorted(repository.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
        assert record.finished.facts["commit"] == repository.commits[-1]
        assert record.finished.path is None, "nothing is kept of an upload"
    assert files_with_the_token(tmp_path / "d") == []


async def test_a_secret_that_was_not_allowed_is_refused_before_it_is_read(tmp_path: Path, hub: HubServer) -> None:
    reference, settings = allowed(tmp_path)
    async with working(tmp_path, more=settings) as rig:
        layer_id = await local_layer(rig, tmp_path)
        asked = {"layerId": layer_id, "repo": "me/house", "apiToken": "env:HOME", "endpoint": hub.url}
        error = await rig.refused("layer-upload", asked)
        assert (error.kind, error.field) == ("forbidden", "apiToken")
        error = await rig.refused("layer-upload", {**asked, "repo": "two words", "apiToken": reference})
        assert (error.kind, error.field) == ("invalid_request", "repo")
    assert hub.asked.total() == 0
