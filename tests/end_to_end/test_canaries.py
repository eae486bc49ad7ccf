"""Keys planted as canaries: whatever happens, and wherever one looks afterwards, they were only sent where they belong.

Each test lets something happen to the one daemon and then searches all that it wrote and said since. Providers say the
keys back here, which is the worst that they can do.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest
from tests.adapters.local_bench import STARTED, make_model
from tests.cli.conftest import Genome
from tests.crash.cloud_worlds import world
from tests.daemon.daemon_process import Json
from tests.daemon.daemon_rig import running
from tests.daemon.test_hardening import unlimited_cores
from tests.emulators.emulator import Emulator
from tests.emulators.fireworks_emulator import FireworksEmulator
from tests.emulators.mistral_emulator import MistralEmulator
from tests.emulators.openai_emulator import OpenAIEmulator
from tests.emulators.together_emulator import TogetherEmulator
from tests.end_to_end.canary_house import CLOUDS, STEMS, TAKES_WANDB, House, echoing, house_in, key_of, spellings
from tests.patience import PATIENCE_S

from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.ids import submission_key

pytestmark = [pytest.mark.crash]

EVERY_CLOUD = pytest.mark.parametrize("name", CLOUDS)


@pytest.fixture(scope="module")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture
def house(one_house: House) -> House:
    """The one of all these tests, with a daemon in it: some end it, and any of them may be the first."""
    if one_house.daemon.process is None:
        one_house.daemon.start()
    return one_house


def test_a_key_that_lay_about_would_be_found(house: House) -> None:
    """The search is no good if it finds nothing where there is something."""
    planted = house.daemon.data / "planted"
    planted.write_bytes(b"\n".join(spellings()))
    house.heard.append(key_of("openai").encode())
    found = house.leaks()
    planted.unlink()
    assert sorted(one.partition(" in /")[0] for one in found if "planted" in one) == sorted(spellings().values())
    assert [one.partition(":")[0] for one in found if "planted" not in one] == ["openai in an answer"]


@EVERY_CLOUD
def test_a_job_that_goes_well_leaves_its_keys_with_the_cloud_alone(house: House, name: str) -> None:
    wish = house.wish(name)
    asked = {key: wish[key] for key in ("provider", "configuration")}
    assert house.result("job-validate", asked)["valid"] is True
    assert house.ended(house.create(name))["status"] == "succeeded"
    assert house.leaks() == []
    calls = house.worlds[name].emulator.calls
    assert any(key_of(name) in call.headers.get("authorization", "") for call in calls), "the key was used"
    if name in TAKES_WANDB:
        [made] = [call for call in calls if call.operation == "create_job"]
        assert STEMS["wandb"] in str(made.body), "and so was the other"


@EVERY_CLOUD
@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_refusal_that_says_the_key_back_is_told_without_it(house: House, name: str, code: int) -> None:
    emulator = house.worlds[name].emulator
    job_id = house.held(name)
    emulator.fault("get_job", "status", code=500, body=echoing(key_of(name)))
    emulator.fault("get_job", "status", code=429, retry_after="0.01", body=f"busy {key_of(name)}".encode())
    emulator.fault("get_job", "status", code=200, body={"id": 1, "status": {key_of(name): key_of("wandb")}})
    emulator.fault("get_job", "status", code=code, body=echoing(key_of(name)))
    job = house.job_when(job_id, lambda job: job["phase"] == "stalled")
    assert "[secret " in job["message"]
    emulator.release()
    house.ask("job-status", {"jobId": job_id, "refresh": True})
    assert house.ended(job_id)["status"] == "succeeded"
    assert house.leaks() == []


@EVERY_CLOUD
@pytest.mark.parametrize(("operation", "code"), [("create_job", 400), ("create_job", 401), ("upload", 400)])
def test_a_job_that_is_refused_with_the_key_in_the_reason_fails_without_it(
    house: House, name: str, operation: str, code: int
) -> None:
    house.worlds[name].emulator.fault(operation, "status", code=code, body=echoing(key_of(name)))
    job = house.ended(house.create(name))
    assert (job["status"], "[secret " in job["message"]) == ("failed", True)
    assert house.leaks() == []


@EVERY_CLOUD
def test_a_doubt_is_told_without_the_key(house: House, name: str) -> None:
    emulator = house.worlds[name].emulator
    emulator.fault("create_job", "status", code=500, body=echoing(key_of(name)))
    job_id = house.create(name)
    job = house.job_when(job_id, lambda job: job["finishedUs"] or job["phase"] == "submission_uncertain")
    if job["phase"] == "submission_uncertain":
        house.ask("job-resolve", {"jobId": job_id, "providerJobId": None})
        job = house.ended(job_id)
    assert job["status"] == "succeeded"
    assert house.leaks() == []


@EVERY_CLOUD
def test_a_validation_that_the_cloud_refuses_is_told_without_the_key(house: House, name: str) -> None:
    wish = house.wish(name)
    for code in (401, 403, 500):
        house.worlds[name].emulator.fault("models", "status", code=code, body=echoing(key_of(name)))
        house.ask("job-validate", {key: wish[key] for key in ("provider", "configuration")})
    house.worlds[name].emulator.faults.clear()
    house.ask("job-create", house.wish(name, metadata={"colour": "red"}, schedule={"epochs": 10_000}))
    assert house.leaks() == []


def fail(emulator: Emulator, key: str, reason: str) -> None:
    match emulator:
        case OpenAIEmulator() | MistralEmulator():
            emulator.failing = reason
        case FireworksEmulator():
            emulator.logs = f"ERROR {reason}\n".encode()
            emulator.fail(key, code="INVALID_ARGUMENT", message=reason)
        case TogetherEmulator():
            [job] = [job for job in emulator.jobs.values() if str(job.body["suffix"]).endswith(key)]
            emulator._tell(job, "job_error", reason, level="error")
            job.walk.go("user_error")
        case _:
            raise AssertionError(emulator)


@EVERY_CLOUD
def test_a_job_that_fails_at_the_cloud_over_a_key_is_told_without_it(house: House, name: str) -> None:
    emulator = house.worlds[name].emulator
    job_id = house.held(name)
    fail(emulator, submission_key(job_id, 1), f"{key_of('wandb')} and {key_of(name)} are not taken")
    job = house.ended(job_id)
    emulator.release()
    if isinstance(emulator, OpenAIEmulator | MistralEmulator):
        emulator.failing = None
    assert job["status"] == "failed"
    assert house.leaks() == []


@pytest.mark.parametrize("name", ["fireworks", "together"])
def test_a_download_that_is_refused_is_told_without_the_key(house: House, name: str) -> None:
    house.worlds[name].emulator.fault("download", "status", code=403, body=echoing(key_of(name)))
    job_id = house.create(name)
    house.job_when(job_id, lambda job: job["phase"] == "stalled")
    house.ask("job-cancel", {"jobId": job_id})
    house.ended(job_id)
    assert house.leaks() == []


def test_an_exception_that_nobody_foresaw_is_told_without_the_key(house: House) -> None:
    configuration = {
        "model": {"baseModel": "any"},
        "datasets": {"trainingFileId": house.dataset()},
        "method": {"type": "lora"},
    }
    wish = {"personaId": "ada", "provider": "boom", "configuration": configuration}
    refused = house.ask("job-create", wish | {"configuration": configuration | {"model": {"baseModel": "explode"}}})
    assert refused["error"]["kind"] == "internal"
    job_id = house.result("job-create", wish)["jobId"]
    deadline = monotonic() + PATIENCE_S
    while "will be tried again" not in str(house.ask("job-events", {"jobId": job_id})):
        assert monotonic() < deadline
        sleep(0.01)
    house.ask("job-cancel", {"jobId": job_id})
    house.ended(job_id)
    assert "somebody forgot" in house.daemon.log.read_text()
    assert house.leaks() == []


def test_a_key_in_place_of_its_reference_is_refused_and_not_repeated(house: House) -> None:
    pasted = {"wandb": {"project": "p", "apiKey": key_of("wandb")}}
    for name in CLOUDS:
        answer = house.ask("job-create", house.wish(name, integrations=pasted))
        assert answer["error"]["kind"] == "invalid_request"
    assert house.leaks() == []


def test_what_the_command_line_prints_has_no_key(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENOMED_SOCKET", str(house.daemon.socket))
    genome = Genome(capsys)
    jobs = [job["jobId"] for job in house.result("job-list", {"limit": 200})["jobs"]]
    lines = [["doctor"], ["config", "show"], ["provider", "list"], ["job", "list"], ["job", "status", "job-nowhere"]]
    lines += [["provider", "capabilities", name] for name in CLOUDS]
    lines += [["job", what, job_id] for job_id in jobs for what in ("status", "events")]
    for line in lines:
        for shown in (genome(*line), genome(*line, "--json")):
            house.heard.append(f"{shown.out}\n{shown.err}".encode())
    assert house.leaks() == []


def test_a_local_worker_inherits_no_key(house: House) -> None:
    model = make_model(house.folder / "endless", [STARTED, ("obey", None)])
    configuration = {
        "model": {"baseModel": str(model)},
        "datasets": {"trainingFileId": house.dataset()},
        "method": {"type": "lora"},
    }
    job_id = house.result("job-create", {"personaId": "ada", "provider": "local", "configuration": configuration})[
        "jobId"
    ]
    house.job_when(job_id, lambda job: job["status"] == "running")
    [started] = house.daemon.data.glob(f"jobs/{job_id}/attempt-1.started.json")
    worker = int(msgspec.json.decode(started.read_bytes())["pid"])
    assert house.daemon.process is not None
    assert keys_in(Path(f"/proc/{house.daemon.process.pid}/environ").read_bytes()) != [], "there is much to inherit"
    assert b"PATH=" in Path(f"/proc/{worker}/environ").read_bytes()
    for pid in {worker, *in_session(worker), *children(house.daemon.process.pid)}:
        for name in ("environ", "cmdline"):
            told = told_of(pid, name)
            assert (pid, name, keys_in(told)) == (pid, name, [])
            assert b"CREDENTIALS_DIRECTORY" not in told
            assert b"KEYRING" not in told
    house.ask("job-cancel", {"jobId": job_id})
    house.ended(job_id)


def keys_in(body: bytes) -> list[str]:
    return [what for form, what in spellings().items() if form in body]


def told_of(pid: int, name: str) -> bytes:
    """Nothing, where the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def in_session(worker: int) -> list[int]:
    """The worker and all that it started, which are a session of their own."""
    session = os.getsid(worker)
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _session_of(pid) == session]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in told_of(pid, f"task/{task.name}/children").split()]


def test_a_log_of_json_lines_is_as_silent_as_one_for_people(house: House) -> None:
    house.reload(log_format="json")
    before = len(house.daemon.log.read_bytes())
    for name in CLOUDS:
        emulator = house.worlds[name].emulator
        job_id = house.held(name)
        emulator.fault("get_job", "status", code=403, body=echoing(key_of(name)))
        house.job_when(job_id, lambda job: job["phase"] == "stalled")
        emulator.release()
        house.ask("job-cancel", {"jobId": job_id})
        house.ended(job_id)
    configuration = {"model": {"baseModel": "explode"}, "datasets": {"trainingFileId": house.dataset()}}
    wish = {"personaId": "ada", "provider": "boom", "configuration": configuration | {"method": {"type": "lora"}}}
    assert house.ask("job-create", wish)["error"]["kind"] == "internal"
    assert house.leaks() == []
    lines = house.daemon.log.read_bytes()[before:].splitlines()
    told = [msgspec.json.decode(line, type=dict[str, object]) for line in lines]
    assert [line for line in told if "[secret " in str(line)] != [], "what was said back was noticed, not missed"
    assert [line for line in told if "somebody forgot" in str(line.get("exception"))] != []
    house.reload(log_format="people")


def test_copies_of_the_log_and_a_stop_leave_no_key_behind(house: House) -> None:
    """Also of what was heard above, as much of it as this daemon lived through; at least what is refused here."""
    for name in CLOUDS:
        house.worlds[name].emulator.fault("create_job", "status", code=400, body=echoing(key_of(name)))
    refused = [house.ended(house.create(name))["jobId"] for name in CLOUDS]
    exported, backup = house.folder / "export.jsonl", house.folder / "backup"
    house.result("log-export", {"path": str(exported)})
    house.result("log-backup", {"path": str(backup)})
    assert house.result("log-verify")["ok"] is True
    assert house.leaks(anew=True) == []
    assert house.daemon.stop() == 0
    left = [exported, house.daemon.log, *(path for path in house.daemon.data.rglob("*") if path.is_file())]
    left += [path for path in (backup, *backup.rglob("*")) if path.is_file()]
    found = [f"{what} in {path}" for path in left for form, what in spellings().items() if form in path.read_bytes()]
    assert found == []
    copied = exported.read_text()
    assert [job_id for job_id in refused if job_id not in copied] == []
    assert copied.count("[secret ") >= len(refused), "what was said back is in the log, without the key"


def test_a_crash_leaves_no_core_with_keys_in_it(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That this machine would keep cores, tests/daemon/test_hardening.py shows."""
    monkeypatch.chdir(tmp_path)
    assert house.daemon.stop() == 0
    with unlimited_cores():
        house.daemon.start()
    house.ask("provider-list")
    assert house.daemon.process is not None
    house.daemon.process.send_signal(signal.SIGABRT)
    assert house.daemon.process.wait() == -signal.SIGABRT
    house.daemon.process = None
    folders = (tmp_path, house.daemon.folder, house.folder)
    assert [path for folder in folders for path in folder.rglob("core*") if path.is_file()] == []
    assert keys_in(house.daemon.log.read_bytes()) == []


async def test_nothing_of_ours_shows_a_key_when_it_is_printed(tmp_path: Path) -> None:
    """As a debugger, a traceback with locals, or a careless log line would print it."""
    async with world("openai") as openai, world("together") as together, world("mistral") as mistral:
        worlds = {"openai": openai, "together": together, "mistral": mistral}
        environment: dict[str, str] = {}
        given: Json = {}
        for name, there in worlds.items():
            there.emulator.api_key = key_of(name)
            environment |= there.environment
            given |= there.given["providers"]
        poll = {"courier": {"poll_s": dict.fromkeys(worlds, 0.001)}, "providers": given}
        async with running(tmp_path / "d", given=poll, environment=environment) as rig:
            for there in worlds.values():
                await rig.ended(await there.create_job(rig))
            things: list[object] = [rig.settings, rig.parts, *(rig.parts.providers.get(name) for name in worlds)]
            shown = "".join(_printed(things))
            assert "OpenAI object" in shown
            assert [stem for stem in STEMS.values() if stem in shown] == []


def _printed(things: list[object]) -> list[str]:
    """These, and whatever of ours they hold, as `repr` has them; but for the one memory that redacts."""
    seen: set[int] = set()
    texts: list[str] = []
    while things:
        thing = things.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        texts.append(repr(thing))
        if type(thing).__module__.startswith("genomed") and not isinstance(thing, SecretStore):
            things.extend(vars(thing).values() if hasattr(thing, "__dict__") else ())
        elif isinstance(thing, dict):
            things.extend(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset):
            things.extend(thing)
    return texts
