"""Log lines: each parses back as JSON, says whom and what it is about, and tells no secret and nobody's words."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from tests.daemon.daemon_process import Json, daemon_process
from tests.daemon.daemon_rig import running
from tests.daemon.recipe_rig import recipe_rig

from genomed.daemon.observation import logs
from genomed.daemon.observation.logs import BindingFilter, bound, line_formatter, request_id, under_journal
from genomed.daemon.secrets.secret_store import RedactingFilter, SecretStore

SECRET = 'sk-canary/+="\\ä7f3'
SAID = "a private sentence of somebody 51c7"


class Lines:
    """What a handler with our formatter wrote. redact: as the daemon adds it to its handler, after ours."""

    def __init__(
        self, form: logs.Format = "json", *, prefixed: bool = False, redact: SecretStore | None = None
    ) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.addFilter(BindingFilter())
        if redact is not None:
            self.handler.addFilter(RedactingFilter(redact))
        self.handler.setFormatter(line_formatter(form, prefixed=prefixed))

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def parsed(self) -> list[Json]:
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def listening_to(name: str, lines: Lines) -> Iterator[logging.Logger]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.addHandler(lines.handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield logger
    finally:
        logger.removeHandler(lines.handler)
        logger.setLevel(before)


def test_a_line_is_one_json_object_with_time_level_source_words_and_what_is_bound() -> None:
    lines = Lines()
    with listening_to("genomed.test_logs", lines) as log, bound(job="job-1", persona="ada", provider=None):
        log.warning("two\nlines of %s", "words")
    [line] = lines.parsed()
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "genomed.test_logs",
        "event": "two\nlines of words",
        "job": "job-1",
        "persona": "ada",
    }


def test_an_exception_is_in_its_line_and_what_was_bound_ends_with_its_block() -> None:
    lines = Lines()
    with listening_to("genomed.test_logs", lines) as log:
        with bound(job="outer"), bound(job="inner"):
            log.info("inner")
        with bound(job="outer"):
            try:
                raise ValueError("it broke")
            except ValueError:
                log.exception("failed", stack_info=True)
        log.info("after")
    inner, failed, after = lines.parsed()
    assert (inner["job"], failed["job"], "job" in after) == ("inner", "outer", False)
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ValueError: it broke")
    assert "Stack (most recent call last)" in failed["stack"]


async def test_what_one_task_binds_no_other_sees_and_its_children_do() -> None:
    lines = Lines()
    with listening_to("genomed.test_logs", lines) as log:

        async def about(job: str) -> None:
            with bound(job=job):
                await anyio.lowlevel.checkpoint()
                log.info(job)
                await anyio.to_thread.run_sync(log.info, job)

        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(about, f"job-{n}")
    told = lines.parsed()
    assert len(told) == 10
    assert [line for line in told if line["event"] != line["job"]] == []


async def test_the_redacting_filter_has_the_last_word_over_words_exceptions_and_what_is_bound() -> None:
    store = SecretStore({"KEY": SECRET})
    await store.reveal("env:KEY")
    forms: tuple[logs.Format, ...] = ("json", "people")
    for form in forms:
        lines = Lines(form, redact=store)
        with listening_to("genomed.test_logs", lines) as log, bound(command_id=f"key {SECRET}", persona=SECRET):
            log.info("sent %s", {"key": SECRET})
            try:
                raise RuntimeError(SECRET) from ValueError(SECRET)
            except RuntimeError:
                log.exception("failed with %s", SECRET, stack_info=True)
        for spelt in (SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1], "sk-canary"):
            assert spelt not in lines.text
        assert "RuntimeError: [secret env:KEY]" in lines.text
        if form == "json":
            assert [line["persona"] for line in lines.parsed()] == ["[secret env:KEY]"] * 2


async def test_a_long_bound_value_is_cut_after_the_secret_in_it_is_gone() -> None:
    store = SecretStore({"KEY": SECRET})
    await store.reveal("env:KEY")
    lines = Lines(redact=store)
    with (
        listening_to("genomed.test_logs", lines) as log,
        bound(command_id="k" * (logs.LONGEST_BOUND - len(SECRET) // 2) + SECRET),
    ):
        log.info("hello")
    [line] = lines.parsed()
    assert len(line["command_id"]) == logs.LONGEST_BOUND
    assert "sk-" not in line["command_id"]


def test_for_people_a_line_reads_as_before_and_a_bound_value_cannot_forge_another() -> None:
    lines = Lines("people")
    with listening_to("genomed.test_logs", lines) as log, bound(command="genome/help", command_id="x\n1 ERROR forged"):
        log.info("hello")
    [line] = lines.text.splitlines()
    assert line.endswith(r"INFO genomed.test_logs hello command=genome/help command_id='x\n1 ERROR forged'")


def test_for_people_the_words_of_a_stranger_forge_no_line_and_command_no_terminal() -> None:
    lines = Lines("people")
    said = "no\n2026-01-01T00:00:00Z INFO genomed.daemon.access.credentials uid:0 was let in\r\x1b[2J\u202e\u2028end"
    with listening_to("genomed.test_logs", lines) as log:
        log.warning("provider refuses error=%s", said)
        try:
            raise ValueError(said)
        except ValueError:
            log.exception("it broke")
    assert [line for line in lines.text.splitlines() if line.startswith("2026-01-01")] == []
    assert all(one == "\n" or one.isprintable() for one in lines.text)
    assert r"was let in\r\x1b[2J\u202e\u2028end" in lines.text


@pytest.mark.parametrize("form", ["json", "people"])
def test_for_the_journal_every_line_begins_with_its_priority(form: logs.Format) -> None:
    lines = Lines(form, prefixed=True)
    with listening_to("genomed.test_logs", lines) as log:
        log.debug("seven")
        log.critical("two")
        try:
            raise ValueError("it broke")
        except ValueError:
            log.exception("three")
    told = lines.text.splitlines()
    assert [line[:3] for line in told[:3]] == ["<7>", "<2>", "<3>"]
    assert {line[:3] for line in told[2:]} == {"<3>"}
    if form == "json":
        assert [json.loads(line[3:])["event"] for line in told] == ["seven", "two", "three"]


def test_the_journal_is_known_by_device_and_inode_not_by_a_variable_that_was_inherited(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        facts = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}
        assert under_journal(environment, stream)
        assert not under_journal(environment, other)
        assert not under_journal({}, stream)
        assert not under_journal(environment, io.StringIO())


def test_a_change_of_the_configuration_changes_the_form_and_keeps_the_filters(tmp_path: Path) -> None:
    """In a process of its own: it is the root logger's handler."""
    code = (
        "import logging, os\nfrom genomed.daemon.observation import logs\n"
        "from genomed.daemon.secrets.secret_store import RedactingFilter, SecretStore\n"
        "logs.set_up(level='info', form=None, environment={})\n"
        "[handler] = logging.getLogger().handlers\n"
        "handler.addFilter(RedactingFilter(SecretStore({})))\n"
        "logging.info('first')\n"
        "logs.change(level='error', form='json', environment={})\n"
        "logging.info('not told'); logging.error('second')\n"
        "assert [type(one).__name__ for one in handler.filters] == ['BindingFilter', 'RedactingFilter']\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stderr.splitlines()
    assert first.endswith("INFO root first")
    assert json.loads(second)["event"] == "second"


async def test_lines_of_a_job_carry_job_persona_and_provider_and_lines_of_a_command_its_name_and_key(
    tmp_path: Path,
) -> None:
    lines = Lines()
    with listening_to("genomed", lines):
        async with running(tmp_path / "d") as rig:
            job_id = await rig.create_job(serverErrors=2)
            await rig.ended(job_id)
            rig.parts.dispatch._context = None  # type: ignore[assignment]  # a defect of ours, for the rim
            await rig.execute("job-status", {"jobId": job_id}, key="my-key")
            await rig.execute("capture-interaction", {"personaId": "ada", "domain": "d", "input": SAID, "output": "2"})
    told = lines.parsed()
    troubles = [line for line in told if line["event"].startswith("provider trouble")]
    assert len(troubles) == 2
    assert {(line["job"], line["persona"], line["provider"]) for line in troubles} == {(job_id, "ada", "simulated")}
    status, capture = (line for line in told if line["event"].startswith("command failed"))
    assert (status["command"], status["command_id"], status["actor"]) == ("genome/job-status", "my-key", "uid:1000")
    assert status["job"] == job_id
    assert capture["command_id"].startswith("req-")
    assert capture["persona"] == "ada"
    assert SAID not in lines.text


async def test_lines_of_a_trigger_carry_bucket_and_persona(tmp_path: Path) -> None:
    lines = Lines()
    with listening_to("genomed", lines):
        async with running(tmp_path / "d") as rig:
            bucket = await rig.rule(minExamples=10)
            await rig.captures(10)

            async def fired() -> bool:
                return "trigger fired" in lines.text

            await rig.until(fired)
    [line] = [line for line in lines.parsed() if line["event"].startswith("trigger fired")]
    assert (line["bucket"], line["persona"]) == (bucket, "ada")


async def test_lines_of_a_run_carry_run_recipe_and_persona(tmp_path: Path) -> None:
    lines = Lines()
    with listening_to("genomed", lines):
        async with recipe_rig(tmp_path) as there:
            run = await there.made(wanted=2)

            async def told() -> bool:
                return "run ended" in lines.text

            await there.rig.until(told)
    [line] = [line for line in lines.parsed() if line["event"].startswith("run ended")]
    assert (line["run"], line["persona"]) == (run["runId"], run["personaId"])
    assert line["recipe"] == run["recipe"]


def test_every_request_has_its_own_id() -> None:
    assert len({request_id() for _ in range(1000)}) == 1000


@pytest.mark.crash
def test_every_line_of_a_daemon_that_was_asked_for_json_is_json_and_holds_nobodys_words() -> None:
    with daemon_process(environment={"GENOMED_LOG_FORMAT": "json", "GENOMED_LOG_LEVEL": "debug"}) as daemon:
        said = {"personaId": "ada", "domain": "sums", "input": SAID, "output": SAID}
        for _ in range(3):
            daemon.call("capture-interaction", said)
        daemon.answer("capture-interaction", said | {"input": 7})
        daemon.answer("train", {"personaId": "ada", "domain": "sums", "provider": "simulated", "dataset": SAID})
        daemon.request("POST", "/genome/capture-interaction", b'{"input": "' + SAID.encode())
        assert daemon.stop() == 0
        text = daemon.log.read_text()
    told = [json.loads(line) for line in text.splitlines()]
    assert {"at", "level", "logger", "event"} <= set.intersection(*(set(line) for line in told))
    assert any(line["event"].startswith("ready") for line in told)
    assert told[-1]["event"] == "stopped"
    assert SAID not in text


@pytest.mark.parametrize(
    ("door", "not_loaded"),
    [
        ("genomed.cli.__main__", {"structlog", "prometheus_client", "opentelemetry"}),
        ("genomed.client", {"structlog", "prometheus_client", "opentelemetry"}),
        ("genomed.daemon.__main__", {"prometheus_client", "opentelemetry"}),
    ],
)
def test_whoever_does_not_need_the_libraries_of_observation_does_not_load_them(door: str, not_loaded: set[str]) -> None:
    code = f"import sys, {door}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & not_loaded == set()
