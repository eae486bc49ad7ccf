"""The `genome` command against the daemon itself, with the simulated provider: the life of a job from the shell."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.cli.conftest import Genome
from tests.client.real_daemon import RealDaemon, chat_lines
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.crash


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealDaemon]:
    with RealDaemon(tmp_path) as daemon:
        monkeypatch.setenv("GENOMED_SOCKET", daemon.socket)
        monkeypatch.chdir(tmp_path)
        yield daemon


@pytest.fixture
def dataset_id(real: RealDaemon, genome: Genome) -> str:
    Path("rows.jsonl").write_text(chat_lines(30))
    return genome("dataset", "import", "ada", "--path", "rows.jsonl", "-q").out.strip()


def write_job(dataset_id: str, **metadata: float | bool) -> None:
    job = {
        "personaId": "ada",
        "provider": "simulated",
        "domain": "support",
        "configuration": {
            "model": {"baseModel": "tiny"},
            "datasets": {"trainingFileId": dataset_id},
            "method": {"type": "lora"},
            "metadata": metadata,
        },
    }
    Path("job.json").write_bytes(msgspec.json.encode(job))


def test_a_job_from_its_file_to_its_layer_and_back(genome: Genome, dataset_id: str) -> None:
    write_job(dataset_id)
    configuration = msgspec.json.encode(msgspec.json.decode(Path("job.json").read_bytes())["configuration"]).decode()
    checked = genome("job", "validate", "--provider", "simulated", "--configuration", configuration, "--json")
    assert (checked.code, checked.json["valid"]) == (0, True)
    created = genome("job", "create", "-f", "job.json", "--configuration.metadata", "steps=6", "-q")
    assert created.code == 0
    job_id = created.out.strip()
    watched = genome("job", "watch", job_id)
    assert watched.code == 0
    assert "step 6/6" in watched.out
    assert watched.out.splitlines()[-1].endswith("adopted")
    status = genome("job", "status", job_id[:12], "--json")
    assert status.json["status"] == "succeeded"
    layer_id = status.json["job"]["layerId"]
    assert layer_id in genome("layer", "list", "--active").out
    rolled_back = genome("layer", "rollback", "ada", "--domain", "support", "--json")
    assert rolled_back.json["layerId"] == layer_id
    assert genome("layer", "list", "--active", "-q").out == ""
    assert genome("layer", "activate", layer_id).code == 0
    assert genome("job", "events", job_id, "--limit", "3").out.splitlines()[-1] == "more: --after 3"
    assert genome("job", "metrics", job_id, "--names", "loss", "--json").json["total"]["loss"] == 6
    assert genome("log", "verify").code == 0
    assert genome("log", "export", "--path", "log.jsonl").code == 0
    assert Path("log.jsonl").exists()


def test_every_question_can_be_shown_to_people_and_to_programs(genome: Genome, dataset_id: str) -> None:
    write_job(dataset_id)
    job_id = genome("job", "create", "-f", "job.json", "-q").out.strip()
    assert genome("job", "wait", job_id).code == 0
    genome("capture", "interaction", "ada", "--domain", "support", "--input", "where?", "--output", "there")
    layer_id = genome("layer", "list", "-q").out.strip()
    for line in (
        ["overview"], ["job", "list"], ["job", "status", job_id], ["job", "events", job_id], ["job", "metrics", job_id],
        ["dataset", "list"], ["dataset", "show", dataset_id], ["layer", "list"], ["layer", "show", layer_id],
        ["provider", "list"], ["provider", "capabilities"], ["bucket", "status"], ["trigger", "list"],
        ["log", "verify"], ["train", "status", job_id],
    ):  # fmt: skip
        shown = genome(*line)
        assert (shown.code, shown.err) == (0, ""), line
        assert shown.out.strip(), line
        assert isinstance(genome(*line, "--json").json, dict), line
    assert {one["name"] for one in genome("help", "--json").json["commands"]} >= {"genome/job-create", "genome/help"}


def test_a_watch_outlives_a_kill_of_the_daemon_and_shows_each_event_once(
    genome: Genome, real: RealDaemon, dataset_id: str
) -> None:
    write_job(dataset_id, secondsPerStep=3600)
    job_id = genome("job", "create", "-f", "job.json", "-q").out.strip()
    command = [sys.executable, "-m", "genomed.cli", "job", "watch", job_id, "--json"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert watching.stderr is not None
    with watching.stdout, watching.stderr:
        try:
            lines = [watching.stdout.readline()]
            real.kill()
            assert "interrupted" in watching.stderr.readline()
            real.start()
            assert genome("job", "cancel", job_id).code == 0
            assert watching.wait(timeout=PATIENCE_S) == 1
            lines += watching.stdout
        finally:
            watching.kill()
            watching.wait()
    told = [msgspec.json.decode(line) for line in lines]
    assert [one["version"] for one in told] == list(range(1, len(told) + 1))
    assert told[-1]["type"] == "job.cancelled"


def test_a_job_that_fails_fails_its_watch(genome: Genome, dataset_id: str) -> None:
    write_job(dataset_id, failAtStep=2)
    job_id = genome("job", "create", "-f", "job.json", "-q").out.strip()
    watched = genome("job", "watch", job_id)
    assert watched.code == 1
    assert "failed" in watched.out.splitlines()[-1]


def test_a_cancelled_job_fails_its_wait(genome: Genome, dataset_id: str) -> None:
    write_job(dataset_id, steps=1000, secondsPerStep=1)
    job_id = genome("job", "create", "-f", "job.json", "-q").out.strip()
    assert genome("job", "cancel", job_id, "--reason", "changed my mind").code == 0
    assert genome("job", "wait", job_id).code == 1


def test_a_refusal_names_everything_and_changes_nothing(genome: Genome, dataset_id: str) -> None:
    write_job("ds-0000000000000000")
    before = genome("overview", "--json").json["asOf"]
    assert genome("job", "create", "-f", "job.json").code == 4
    write_job(dataset_id, nonsense=True, steps=0)
    ran = genome("job", "create", "-f", "job.json")
    assert ran.code == 4
    assert "nonsense" in ran.err
    assert "steps" in ran.err
    assert genome("overview", "--json").json["asOf"] == before
