"""A layer is published whole or not at all, and only if it is what the worker said and cannot run code."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.adapters.local_bench import FULL_RUN, JOB, LAYER, Bench, exists, json_in, names_in, poll_until

from genomed.adapters import _durable_files
from genomed.entities.errors import Conflict, MalformedResponse, Transient
from genomed.entities.facts import Artifact
from genomed.entities.ports import LayerRequest, Provider

SAMPLE = {"id": "r1", "prompt": "p", "expected": "e", "answer": "a", "exact": False}
JUDGED = (
    "tell",
    {"type": "judged", "side": "baseline", "rows": 2, "loss": 1.0, "exactMatch": 0.5, "samples": [SAMPLE]},
)


def request(bench: Bench) -> LayerRequest:
    return LayerRequest(
        layer_id="layer-1", destination=str(bench.root / "layers" / "layer-1"), lineage={"jobId": JOB, "rows": 4}
    )


async def finished(bench: Bench) -> tuple[Provider, Artifact]:
    bench.script(FULL_RUN[0], JUDGED, *FULL_RUN[1:])
    provider = bench.provider()
    await provider.submit(bench.submission(output={"suffix": "s1"}))
    artifact = (await poll_until(provider, lambda snapshot: snapshot.artifact is not None))[-1].artifact
    assert artifact is not None
    return provider, artifact


async def test_a_published_layer_holds_files_manifest_and_judged_samples(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    layer = await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    folder = Path(layer.path)
    assert names_in(folder) == sorted([*LAYER, "genomed-layer.json", "judgement.json"])
    manifest = json_in(folder / "genomed-layer.json")
    assert manifest["files"] == artifact.files
    assert (manifest["layerId"], manifest["format"], manifest["simulated"]) == ("layer-1", "peft_lora", False)
    assert (manifest["suffix"], manifest["lineage"]) == ("s1", {"jobId": JOB, "rows": 4})
    assert manifest["baseModel"]["name"] == str(bench.model)
    assert len(manifest["baseModel"]["fingerprint"]) == 64
    assert manifest["metrics"]["trainLoss"] == 1.25
    assert json_in(folder / "judgement.json")["baseline"]["samples"] == [SAMPLE]
    assert layer.manifest_sha256 == _durable_files.hash_file(folder / "genomed-layer.json")
    assert layer.artifact.location == layer.path


async def test_publishing_again_finds_it_there(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    first = await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    assert await bench.provider().publish(request(bench), artifact=artifact, job_id=JOB, attempt=1) == first


async def test_what_an_interrupted_publication_left_is_cleared_away(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    partial = bench.root / "layers" / "layer-1.partial"
    partial.mkdir(parents=True)
    (partial / "adapter_model.safetensors").write_bytes(b"half")
    layer = await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    assert not partial.exists()
    assert (
        _durable_files.hash_file(Path(layer.path) / "adapter_model.safetensors")
        == artifact.files["adapter_model.safetensors"]
    )


async def test_a_crash_before_the_rename_leaves_no_layer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, artifact = await finished(bench)

    def broken(self: Path, target: Path) -> Path:
        raise OSError(5, "the disk broke")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", broken)
        with pytest.raises(Transient):
            await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    assert not exists(request(bench).destination)
    await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)


async def test_another_layer_in_its_place_is_a_conflict(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    layer = await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    spoilt = Path(layer.path) / "adapter_config.json"
    spoilt.write_text("{ }")
    with pytest.raises(Conflict):
        await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    other = replace(request(bench), layer_id="layer-2")
    with pytest.raises(Conflict):
        await provider.publish(other, artifact=artifact, job_id=JOB, attempt=1)


@pytest.mark.parametrize(
    ("name", "body"),
    [("model.bin", b"x"), ("run.py", b"x"), ("state.pkl", b"x"), ("weights.pt", b"x"), ("noname", b"x")],
)
async def test_a_file_that_may_hold_code_is_refused(bench: Bench, name: str, body: bytes) -> None:
    provider, artifact = await finished(bench)
    (bench.attempt / "result" / name).write_bytes(body)
    with pytest.raises(MalformedResponse, match="may hold code"):
        await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    assert not exists(request(bench).destination)


async def test_bytes_that_differ_from_what_the_worker_said_are_refused(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    (bench.attempt / "result" / "adapter_config.json").write_text('{"r": 8}')
    with pytest.raises(MalformedResponse, match="the trainer said"):
        await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
    assert not exists(request(bench).destination)


async def test_a_weights_file_that_is_none_is_refused(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    (bench.attempt / "result" / "adapter_model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(MalformedResponse, match="safetensors"):
        await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)


@pytest.mark.parametrize("name", ["../escape.json", "/etc/passwd", "genomed-layer.json"])
async def test_a_name_that_leads_elsewhere_is_refused(bench: Bench, name: str) -> None:
    provider, artifact = await finished(bench)
    odd = replace(artifact, files={**artifact.files, name: "00"})
    with pytest.raises(MalformedResponse):
        await provider.publish(request(bench), artifact=odd, job_id=JOB, attempt=1)


async def test_a_result_without_weights_or_with_a_link_is_refused(bench: Bench) -> None:
    provider, artifact = await finished(bench)
    bare = replace(artifact, files={"adapter_config.json": artifact.files["adapter_config.json"]})
    with pytest.raises(MalformedResponse, match="no weights"):
        await provider.publish(request(bench), artifact=bare, job_id=JOB, attempt=1)
    target = bench.attempt / "result" / "adapter_config.json"
    target.unlink()
    target.symlink_to("/etc/hostname")
    with pytest.raises(MalformedResponse, match="a link"):
        await provider.publish(request(bench), artifact=artifact, job_id=JOB, attempt=1)
