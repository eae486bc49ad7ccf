"""Checkpoints: committed last, verified before use, cleared and pruned without touching the good ones."""

from pathlib import Path

import pytest

from genomed.training.checkpoints import COMMIT, Checkpoint, Run, clear, commit, newest, of_step, prune
from genomed.training.failures import WorkerFailure

RUN = Run("data", "configuration")


def written(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    (folder / "ref").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (folder / "ref" / "adapter_model.safetensors").write_bytes(b"reference")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


def committed(root: Path, step: int) -> Checkpoint:
    return commit(written(root, step), step=step, tokens_seen=10 * step, run=RUN)


def look(root: Path, run: Run = RUN) -> tuple[Checkpoint | None, list[tuple[str, str]]]:
    rejected: list[tuple[str, str]] = []
    found = newest(root, run, rejected=lambda path, reason: rejected.append((path.name, reason)))
    return found, rejected


def test_the_newest_committed_checkpoint_by_step_is_found(tmp_path: Path) -> None:
    for step in (9, 10, 2):
        committed(tmp_path, step)
    found, rejected = look(tmp_path)
    assert found is not None
    assert (found.step, found.tokens_seen, rejected) == (10, 100, [])


def test_a_checkpoint_without_a_commit_does_not_exist(tmp_path: Path) -> None:
    committed(tmp_path, 1)
    written(tmp_path, 2)
    found, rejected = look(tmp_path)
    assert found is not None
    assert found.step == 1
    assert rejected == [("checkpoint-2", "commit.json is missing: the checkpoint was not finished")]
    assert not (tmp_path / "checkpoint-2").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "ref/adapter_model.safetensors"])
def test_a_changed_or_missing_file_rejects_the_checkpoint(tmp_path: Path, name: str) -> None:
    for step, harm in ((3, Path.unlink), (2, lambda path: path.write_bytes(b"other"))):
        committed(tmp_path, step)
        harm(tmp_path / f"checkpoint-{step}" / name)
    committed(tmp_path, 1)
    found, rejected = look(tmp_path)
    assert found is not None
    assert found.step == 1
    assert rejected == [
        ("checkpoint-3", f"{name} is missing"),
        ("checkpoint-2", f"{name} does not match its hash"),
    ]


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"step": 1}', b'"text"'])
def test_a_torn_commit_is_no_commit(tmp_path: Path, torn: bytes) -> None:
    committed(tmp_path, 1)
    (tmp_path / "checkpoint-1" / COMMIT).write_bytes(torn)
    found, rejected = look(tmp_path)
    assert found is None
    assert len(rejected) == 1


def test_no_pickle_stays_in_a_committed_checkpoint(tmp_path: Path) -> None:
    assert not (committed(tmp_path, 1).path / "training_args.bin").exists()


@pytest.mark.parametrize(
    ("run", "named"), [(Run("x", "configuration"), "dataDigest"), (Run("data", "x"), "configDigest")]
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path: Path, run: Run, named: str) -> None:
    committed(tmp_path, 1)
    with pytest.raises(WorkerFailure, match=named):
        look(tmp_path, run)
    assert (tmp_path / "checkpoint-1").exists()


def test_pruning_keeps_the_newest_and_clearing_keeps_none(tmp_path: Path) -> None:
    for step in (100, 20, 3):
        committed(tmp_path, step)
    (tmp_path / "notes").mkdir()
    prune(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-100", "checkpoint-20", "notes"]
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_pruning_spares_the_best_checkpoint(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        committed(tmp_path, step)
    prune(tmp_path, keep=1, spare=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_a_checkpoint_is_found_by_its_step_as_long_as_it_verifies(tmp_path: Path) -> None:
    made = committed(tmp_path, 2)
    assert of_step(tmp_path, 2, RUN) == made
    assert of_step(tmp_path, 3, RUN) is None
    (made.path / "adapter_model.safetensors").write_bytes(b"other")
    assert of_step(tmp_path, 2, RUN) is None
