"""An archive from outside: its plain files of a layer, nothing outside the folder, nothing that runs, within bounds."""

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.adapters.local_bench import safetensors

from genomed.adapters._download import check_peft_layer, unpack_layer
from genomed.entities.errors import Capacity, MalformedResponse, Unsupported

CONFIG = json.dumps({"peft_type": "LORA", "r": 8, "base_model_name_or_path": "acme/small", "extra": [1]}).encode()
WEIGHTS = safetensors({"lora_A": (8, 16), "lora_B": (16, 8)})
LAYER = {"adapter_config.json": CONFIG, "adapter_model.safetensors": WEIGHTS, "README.md": b"# hi"}

MIB = 1 << 20


def tar_of(files: dict[str, bytes], *members: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        for member in members:
            tar.addfile(member)
    return made.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as held:
        for name, body in files.items():
            held.writestr(name, body)
    return made.getvalue()


FORMS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "tar": tar_of,
    "tar.gz": lambda files: gzip.compress(tar_of(files)),
    "zip": zip_of,
}


def unpacked(tmp_path: Path, archive: bytes, max_bytes: int = MIB) -> dict[str, str]:
    (tmp_path / "download").write_bytes(archive)
    return unpack_layer(tmp_path / "download", tmp_path / "layer", max_bytes=max_bytes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", ["", "./", "out/checkpoint-3/"])
def test_a_layers_files_come_out_flat_with_their_hashes(tmp_path: Path, form: str, folder: str) -> None:
    found = unpacked(tmp_path, FORMS[form]({folder + name: body for name, body in LAYER.items()}))
    assert found == {name: sha256(body).hexdigest() for name, body in LAYER.items()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "layer").iterdir()} == LAYER
    layer = check_peft_layer(tmp_path / "layer")
    assert (layer.rank, layer.base_model, layer.tensors, layer.parameters) == (8, "acme/small", 2, 256)


@pytest.mark.parametrize("form", FORMS)
def test_what_no_layer_consists_of_is_not_unpacked(tmp_path: Path, form: str) -> None:
    found = unpacked(tmp_path, FORMS[form]({**LAYER, "training_args.bin": b"x", "run.py": b"x", ".bashrc": b"x"}))
    assert sorted(found) == sorted(path.name for path in (tmp_path / "layer").iterdir()) == sorted(LAYER)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["../README.md", "/etc/README.md", "a/../../README.md", "..\\README.md"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, form: str, name: str) -> None:
    with pytest.raises(MalformedResponse, match="leads outside"):
        unpacked(tmp_path, FORMS[form]({**LAYER, name: b"x"}))
    assert [path.name for path in tmp_path.rglob("README.md")] in ([], ["README.md"])


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo("README.md")
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(MalformedResponse, match="no plain file"):
        unpacked(tmp_path, tar_of({}, link(kind, "/etc/passwd")))


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_run_code_when_loaded_are_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(MalformedResponse, match=r"adapter_model\.bin would run code"):
        unpacked(tmp_path, FORMS[form]({"adapter_config.json": CONFIG, "adapter_model.bin": b"\x80\x04"}))


def test_a_file_twice_is_refused_in_whatever_folders(tmp_path: Path) -> None:
    with pytest.raises(MalformedResponse, match="twice"):
        unpacked(tmp_path, tar_of({"a/README.md": b"1", "b/README.md": b"2"}))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["README.md", "hidden/bomb.dat"])
def test_an_archive_that_unpacks_to_more_than_allowed_is_stopped(tmp_path: Path, form: str, name: str) -> None:
    bomb = FORMS[form]({**LAYER, name: bytes(4 * MIB)})
    if form == "zip" and name != "README.md":
        assert unpacked(tmp_path, bomb)  # a zip's member that nobody wants is not even read
    else:
        with pytest.raises(Capacity, match="more than"):
            unpacked(tmp_path, bomb)


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_that_broke_off_is_no_layer(tmp_path: Path, form: str) -> None:
    noise = {**LAYER, "adapter_model.safetensors": os.urandom(20_000)}
    whole = FORMS[form](noise)
    for share in (0.1, 0.3, 0.5):  # a tar ends in zeros that nobody misses
        folder = tmp_path / f"{share}"
        folder.mkdir()
        with pytest.raises(MalformedResponse):
            unpacked(folder, whole[: int(len(whole) * share)])


@pytest.mark.parametrize("body", [b"", b"hello", b"<html>", b"\x1f\x8bnot really", b"PK\x03\x04 nor this"])
def test_what_is_no_archive_is_told_so(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        unpacked(tmp_path, body)


def test_a_compression_that_this_python_lacks_comes_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises((Unsupported, MalformedResponse)) as told:
        unpacked(tmp_path, b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    assert isinstance(told.value, MalformedResponse) or "zstd" in (told.value.remedy or "")


def broken(name: str, body: bytes | None) -> dict[str, bytes]:
    return {key: value for key, value in {**LAYER, name: body}.items() if value is not None}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (broken("adapter_config.json", None), "lacks adapter_config.json"),
        (broken("adapter_model.safetensors", None), "lacks adapter_model.safetensors"),
        (broken("adapter_config.json", b"{"), "do not say"),
        (broken("adapter_config.json", b'{"peft_type": "IA3", "r": 1}'), "IA3"),
        (broken("adapter_model.safetensors", WEIGHTS[:-1]), "bytes long"),
        (broken("adapter_model.safetensors", WEIGHTS + b"x"), "bytes long"),
        (broken("adapter_model.safetensors", b"\xff" * 8), "no safetensors"),
        (broken("adapter_model.safetensors", b""), "do not say"),
        (broken("adapter_model.safetensors", b"\x02" + bytes(7) + b"{}"), "bytes long"),
    ],
)
def test_a_layer_that_is_not_whole_is_refused(tmp_path: Path, files: dict[str, bytes], told: str) -> None:
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    with pytest.raises(MalformedResponse, match=told):
        check_peft_layer(tmp_path)
