"""What Together trained, fetched: the adapter of a LoRA job, the model of a full one, whole or not at all."""

import gzip
import json
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from anyio import to_thread
from msgspec.structs import replace
from safetensors.numpy import load_file
from tests.adapters.together_bench import Bench, bench_on, configuration
from tests.emulators.lora_archive import RANK, WIDTH, lora_files, tar_gz
from tests.emulators.published_spec import needs_specs
from tests.emulators.together_emulator import MODEL

from genomed.entities.errors import Capacity, Conflict, MalformedResponse, NotFound, Transient

pytestmark = [pytest.mark.anyio, needs_specs]

ZSTD = next((n for n in ("compression.zstd", "backports.zstd") if find_spec(n.split(".")[0]) and find_spec(n)), None)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


def left_over(bench: Bench) -> list[str]:
    return sorted(str(p.relative_to(bench.root)) for p in bench.root.rglob("*") if "download" in p.name)


async def test_the_adapter_of_a_lora_job_becomes_a_layer_with_its_hashes(bench: Bench) -> None:
    theirs = await bench.submitted()
    artifact = await bench.artifact(theirs)
    assert (artifact.format, artifact.location, artifact.files) == ("peft_lora", f"together://{theirs}", {})
    assert (artifact.train_loss, artifact.tokens_seen) == (0.1, 12_300)
    published = await bench.published(artifact)
    folder, files = Path(published.path), lora_files(MODEL)
    assert published.artifact.files == {name: sha256(body).hexdigest() for name, body in files.items()}
    assert published.artifact.trainable_parameters == 2 * RANK * WIDTH
    assert published.artifact.size_bytes == sum(map(len, files.values()))
    weights = await to_thread.run_sync(load_file, folder / "adapter_model.safetensors")
    assert {tensor.shape for tensor in weights.values()} == {(RANK, WIDTH), (WIDTH, RANK)}
    manifest = json.loads(await to_thread.run_sync((folder / "genomed-layer.json").read_bytes))
    assert manifest["baseModel"]["name"] == MODEL
    assert left_over(bench) == []


async def test_a_full_job_gives_the_whole_model(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted(configuration(method={"type": "full"})))
    assert artifact.format == "full_model"
    assert sorted((await bench.published(artifact)).artifact.files) == ["config.json", "model.safetensors"]
    assert [call.asked("checkpoint") for call in bench.emulator.seen("download")] == ["model_output_path"]


async def test_a_layer_that_lies_there_is_not_fetched_again(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted())
    assert await bench.published(artifact) == await bench.published(artifact)
    assert len(bench.emulator.seen("download")) == 1


async def test_another_layer_at_that_place_is_a_conflict(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted())
    published = await bench.published(artifact)
    await to_thread.run_sync(Path(published.path).rename, bench.root / "layers" / "layer-2")
    with pytest.raises(Conflict):
        await bench.published(artifact, layer_id="layer-2")


@pytest.mark.parametrize("kind", ["lose_request", "lose_reply", "truncate", "status"])
async def test_a_download_that_breaks_off_leaves_nothing_and_may_be_tried_again(bench: Bench, kind: str) -> None:
    artifact = await bench.artifact(await bench.submitted())
    bench.emulator.fault("download", kind, code=503)
    with pytest.raises(Transient):
        await bench.published(artifact)
    assert left_over(bench) == []
    assert not (bench.root / "layers" / "layer-1").exists()
    await bench.published(artifact)


async def test_an_archive_that_leads_outside_or_holds_code_is_refused(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted())
    good = lora_files(MODEL)
    pickled = {"adapter_config.json": good["adapter_config.json"], "adapter_model.bin": b"\x80\x04."}
    broken = {**good, "adapter_model.safetensors": good["adapter_model.safetensors"][:-4]}
    for files in ({**good, "../../escape.json": b"{}"}, pickled, broken):
        bench.emulator.archive = tar_gz(files)
        with pytest.raises(MalformedResponse):
            await bench.published(artifact)
        assert not (bench.root / "layers" / "layer-1").exists()
    bench.emulator.archive = b"<html>not an archive</html>"
    with pytest.raises(MalformedResponse):
        await bench.published(artifact)


async def test_an_archive_is_held_to_a_size(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted())
    bench.settings = {"max_download_bytes": 100}
    with pytest.raises(Capacity):
        await bench.published(artifact)


async def test_a_result_that_is_not_theirs_is_not_asked_for(bench: Bench) -> None:
    artifact = await bench.artifact(await bench.submitted())
    with pytest.raises(MalformedResponse):
        await bench.published(replace(artifact, location="ft:gpt-4.1-nano:acme::1"))
    with pytest.raises(NotFound):
        await bench.published(replace(artifact, location="together://ft-nobody"))
    assert bench.emulator.seen("download") == []


@pytest.mark.skipif(ZSTD is None, reason=f"no zstd in Python {sys.version_info.major}.{sys.version_info.minor} here")
async def test_their_own_form_of_archive_is_zstd(bench: Bench) -> None:
    """SDK 3.1.1 names what it downloads .tar.zst unless the server says x-tar."""
    artifact = await bench.artifact(await bench.submitted())
    bench.emulator.archive = import_module(str(ZSTD)).compress(gzip.decompress(tar_gz(lora_files(MODEL))))
    assert len((await bench.published(artifact)).artifact.files) == 2
