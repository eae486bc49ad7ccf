"""What ended trainings left on disk goes on demand: never while a worker runs, never through a link."""

from pathlib import Path

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.pruning import prune


def left_over(jobs: Path, job_id: str) -> Path:
    folder = jobs / job_id
    for name in ("attempt-1/spec.json", "attempt-1/worker.log", "checkpoints/step-10/weights.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 100)
    return folder


def nobody(_: AttemptFolder) -> bool:
    return False


def test_a_jobs_files_go_and_their_bytes_are_told(tmp_path: Path) -> None:
    folder, other = left_over(tmp_path, "job-1"), left_over(tmp_path, "job-2")
    assert prune(tmp_path, "job-1", runs=nobody) == 300
    assert not folder.exists()
    assert other.exists()
    assert prune(tmp_path, "job-1", runs=nobody) == 0


def test_nothing_goes_while_a_worker_of_the_job_runs(tmp_path: Path) -> None:
    folder = left_over(tmp_path, "job-1")
    assert prune(tmp_path, "job-1", runs=lambda one: one.root.name == "attempt-1") is None
    assert folder.exists()


def test_a_link_in_place_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    elsewhere = left_over(tmp_path / "elsewhere", "precious")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job-1").symlink_to(elsewhere)
    assert prune(tmp_path / "jobs", "job-1", runs=nobody) == 0
    assert elsewhere.exists()
