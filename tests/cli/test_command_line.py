"""The `genome` command against a small server: what is sent, what is shown, and how it fails."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cli.conftest import Genome
from tests.client.small_daemon import SmallDaemon

from genomed.entities.errors import Conflict, InvalidRequest, Problem

FIRST, SECOND = "job-01jd0000000000000000000000", "job-01jd0000000000000000000001"


def jobs(*ids: str) -> object:
    rows = [
        {"jobId": one, "status": "running", "provider": "local", "progress": {"step": 3, "totalSteps": 12}}
        for one in ids
    ]
    return {"jobs": rows, "nextCursor": None, "asOf": 3}


def test_a_noun_and_a_verb_are_a_command_and_options_its_params(genome: Genome, daemon: SmallDaemon) -> None:
    daemon.answers["job-list"] = lambda _: jobs(FIRST)
    ran = genome("job", "list", "--status", "running", "--limit", "5")
    assert ran.code == 0
    assert daemon.requests == [("job-list", {"status": "running", "limit": 5}, None)]
    heads, row = ran.out.splitlines()
    assert heads.split() == ["JOB", "ID", "STATUS", "PROVIDER", "PROGRESS"]
    assert row.split() == [FIRST, "running", "local", "3/12"]


def test_json_is_the_result_as_the_daemon_gave_it_wherever_the_option_stands(
    genome: Genome, daemon: SmallDaemon
) -> None:
    daemon.answers["job-list"] = lambda _: jobs(FIRST)
    assert genome("--json", "job", "list").json == genome("job", "list", "--json").json == jobs(FIRST)


def test_quiet_prints_ids_only(genome: Genome, daemon: SmallDaemon) -> None:
    daemon.answers["job-list"] = lambda _: jobs(FIRST, SECOND)
    assert genome("job", "list", "-q").out.split() == [FIRST, SECOND]


def test_a_file_gives_the_params_and_options_override_it(
    genome: Genome, daemon: SmallDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answers["trigger-set"] = lambda params: {"bucketId": "bk-1", "rule": params["rule"]}
    params = {"personaId": "ada", "domain": "support", "rule": {"minExamples": 20, "cooldownS": 5.0}}
    (tmp_path / "rule.json").write_bytes(msgspec.json.encode(params))
    genome("trigger", "set", "-f", str(tmp_path / "rule.json"), "--rule.min-examples", "30")
    monkeypatch.setattr("sys.stdin", io.StringIO(msgspec.json.encode(params).decode()))
    genome("trigger", "set", "-f", "-", "--domain", "sales")
    assert [sent["rule"]["minExamples"] for _, sent, _ in daemon.requests] == [30, 20]
    assert [sent["domain"] for _, sent, _ in daemon.requests] == ["support", "sales"]


def test_a_mutating_command_carries_a_key_and_yours_if_you_gave_one(genome: Genome, daemon: SmallDaemon) -> None:
    daemon.answers["job-cancel"] = lambda _: {"accepted": True, "message": "it stops"}
    genome("job", "cancel", FIRST)
    genome("job", "cancel", FIRST, "--idempotency-key", "k-1")
    again = genome("job", "cancel", FIRST, "--idempotency-key", "k-1")
    assert [key is not None for _, _, key in daemon.requests] == [True, True, True]
    assert daemon.requests[1][2] == "k-1"
    assert "first time" in again.err


def test_the_beginning_of_an_id_is_enough_where_it_fits_one_job(genome: Genome, daemon: SmallDaemon) -> None:
    other = "job-02jd0000000000000000000000"
    daemon.answers["job-list"] = lambda _: jobs(FIRST, SECOND, other)
    daemon.answers["job-cancel"] = lambda _: {"accepted": True, "message": "it stops"}
    assert genome("job", "cancel", "02").code == 0
    assert daemon.requests[-1][:2] == ("job-cancel", {"jobId": other})
    ran = genome("job", "cancel", "job-01")
    assert ran.code == 2
    assert FIRST in ran.err
    assert SECOND in ran.err
    assert daemon.carried_out.count("job-cancel") == 1


def test_every_problem_of_a_command_line_is_named_at_once_and_nothing_is_sent(
    genome: Genome, daemon: SmallDaemon
) -> None:
    ran = genome("job", "create", "ada", "--configuration.schedule.epochs", "99", "--configuration.method.type", "lora")
    assert ran.code == 2
    for field in ("provider", "configuration.model", "configuration.datasets", "configuration.schedule.epochs"):
        assert f"  {field}: " in ran.err
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["job", "creat"], "job create"),
        (["jobs", "list"], "job list"),
        (["job", "list", "--statu", "running"], "--status"),
        (["job", "create", "--configuration.schedul.epochs", "3"], "--configuration.schedule.epochs"),
        (["job", "list", "--status", "runing"], "running"),
        (["job"], "job create"),
        (["job", "watch"], "job list"),
        (["job", "list", "one", "two"], "one word too many"),
        (["job", "create", "-f", "no-such-file.json"], "no-such-file.json"),
        (["completion", "tcsh"], "bash|zsh|fish"),
    ],
)
def test_a_slip_of_the_hand_is_a_usage_error_that_names_what_was_probably_meant(
    genome: Genome, line: list[str], said: str
) -> None:
    ran = genome(*line)
    assert ran.code == 2
    assert said in ran.err


def test_a_refusal_of_the_daemon_exits_4_with_every_problem_and_remedy(genome: Genome, daemon: SmallDaemon) -> None:
    def refuse(_: dict[str, Any]) -> object:
        raise InvalidRequest.of(
            [Problem(field="a.b", message="is too small", remedy="make it 3"), Problem(field="c", message="is gone")]
        )

    daemon.answers["overview"] = refuse
    ran = genome("overview")
    assert ran.code == 4
    assert "a.b: is too small" in ran.err
    assert "make it 3" in ran.err
    assert "c: is gone" in ran.err
    as_json = genome("overview", "--json")
    assert as_json.code == 4
    assert as_json.out == ""
    error = msgspec.json.decode(as_json.err)["error"]
    assert error["kind"] == "invalid_request"
    assert [problem["field"] for problem in error["details"]] == ["a.b", "c"]


def test_a_conflict_is_one_line_with_its_remedy(genome: Genome, daemon: SmallDaemon) -> None:
    def refuse(_: dict[str, Any]) -> object:
        raise Conflict("the job runs", remedy="cancel it first")

    daemon.answers["job-retry"] = refuse
    ran = genome("job", "retry", FIRST)
    assert ran.code == 4
    assert ran.err == "genome: the job runs\n  cancel it first\n"


def test_without_a_daemon_the_exit_code_is_3_and_the_message_says_how_to_start_it(
    genome: Genome, tmp_path: Path
) -> None:
    socket = str(tmp_path / "none.sock")
    ran = genome("overview", "--socket", socket)
    assert ran.code == 3
    assert f"genomed --socket {socket}" in ran.err


def test_a_lost_answer_says_with_which_key_to_ask_again(genome: Genome, daemon: SmallDaemon) -> None:
    daemon.answers["job-cancel"] = lambda _: {"accepted": True, "message": "it stops"}
    daemon.lose_replies = 1
    ran = genome("job", "cancel", FIRST)
    assert ran.code == 3
    key = daemon.requests[0][2]
    assert f"--idempotency-key {key}" in ran.err
    assert genome("job", "cancel", FIRST, "--idempotency-key", str(key)).code == 0
    assert daemon.carried_out == ["job-cancel"]


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("verb", ["log verify", "doctor"])
@pytest.mark.parametrize("shown_as", [(), ("--json",), ("--quiet",)])
def test_a_check_that_says_no_exits_1(
    genome: Genome, daemon: SmallDaemon, verb: str, shown_as: tuple[str, ...], ok: bool, code: int
) -> None:
    daemon.answers[verb.replace(" ", "-")] = lambda _: {"ok": ok, "problems": [], "events": 3}
    assert genome(*verb.split(), *shown_as).code == code


def test_help_lists_all_and_explains_one(genome: Genome, capsys: pytest.CaptureFixture[str]) -> None:
    listing = genome("help").out
    assert "job create" in listing
    assert "events tail" in listing
    assert genome().out == genome("--help").out == listing
    assert "layer list" not in genome("job", "--help").out
    one = genome("help", "job", "create").out
    assert "--configuration.schedule.epochs" in one
    assert "passes over the training rows" in one
    with pytest.raises(SystemExit) as left:
        genome("job", "create", "--help")
    assert left.value.code == 0
    assert capsys.readouterr().out == one
