"""A confined worker gets at what its job needs, and at nothing else. Real children that try to get out."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.adapters.local_bench import (
    Bench,
    accepted,
    bench_in,
    exists,
    json_in,
    level_that_works,
    make_model,
    poll_until,
)

from genomed.adapters.local.grants import covering, hub_blobs, hub_caches
from genomed.adapters.local.sandbox import choose, gaps_of
from genomed.adapters.local.settings import LocalSettings, settings_from
from genomed.entities.errors import InvalidRequest
from genomed.entities.ports import Accepted, Rejected
from genomed.entities.types import JobStatus
from genomed.training import landlock

ESCAPING = str(Path(__file__).with_name("escaping_worker.py"))


@pytest.fixture(scope="module", params=["landlock", "bubblewrap"])
def level(request: pytest.FixtureRequest) -> str:
    choice = level_that_works(request.param)
    if choice.level != request.param:
        pytest.skip("; ".join(choice.missing))
    return str(request.param)


class House:
    """A data folder with what a worker must not see, and a daemon's ears."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        for name in ("journal.db", "jobs/job-other/attempt-1/spec.json", "datasets/other/train.jsonl", "secrets/key"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("secret")
        for name in ("train.jsonl", "eval.jsonl"):
            (root / name).write_text("{}")
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        self.door = str(root / "d.sock")
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        here = os.open(root, os.O_RDONLY)
        unix.bind(f"/proc/self/fd/{here}/d.sock")
        os.close(here)
        unix.listen()
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        self.udp = udp.getsockname()[1]
        asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        self.other = stack.enter_context(subprocess.Popen(asleep, env={"API_KEY": "secret"}))
        stack.callback(self.other.kill)

    def escapes(self) -> list[list[object]]:
        return [
            ["journal", "read", str(self.root / "journal.db")],
            ["another job", "read", str(self.root / "jobs/job-other/attempt-1/spec.json")],
            ["another dataset", "read", str(self.root / "datasets/other/train.jsonl")],
            ["a credential", "read", str(self.root / "secrets/key")],
            ["the data folder", "find", str(self.root / "journal.db")],
            ["a link out", "link", str(self.root / "journal.db")],
            ["a hard link out", "hard", str(self.root / "journal.db")],
            ["the journal's end", "write", str(self.root / "journal.db")],
            ["its own record", "write", str(self.root / "jobs/job-00000000000000000000000001/attempt-1.started.json")],
            ["a program", "write", str(self.root / "model" / "modeling.py")],
            ["loopback", "connect", self.tcp],
            ["datagrams", "datagram", self.udp],
            ["the daemon's socket", "unix", self.door],
            ["a signal", "signal", self.other.pid],
            ["the daemon's environment", "environ", self.other.pid],
            ["the daemon's memory", "trace", self.other.pid],
        ]

    def needs(self) -> list[list[object]]:
        return [
            ["rows", "read", str(self.root / "train.jsonl")],
            ["held-out rows", "read", str(self.root / "eval.jsonl")],
            ["weights", "read", str(self.root / "model" / "model.safetensors")],
            ["progress", "write", str(self.root / "jobs/job-00000000000000000000000001/attempt-1/progress.jsonl")],
            ["checkpoints", "write", str(self.root / "jobs/job-00000000000000000000000001/checkpoints/one")],
            ["scratch", "scratch", ""],
            ["nothing", "write", "/dev/null"],
            ["devices", "find", "/sys/class"],
            ["libraries", "find", "/usr/lib"],
        ]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


async def found_by(house: House, **settings: object) -> dict[str, object]:
    with bench_in(house.root, worker=ESCAPING, **settings) as bench:
        (house.root / "model" / "deeds.json").write_text(json.dumps([*house.escapes(), *house.needs()]))
        await accepted(bench, bench.submission())
        lost = await poll_until(bench.provider(), lambda each: each.worker_lost is not None)
        assert (bench.attempt / "found.json").exists(), lost[-1]
        return json_in(bench.attempt / "found.json")


def arrived(path: Path) -> bool:
    return path.exists() and path.read_bytes() == b"mine"


def escaped(house: House, found: dict[str, object]) -> list[object]:
    """A write counts where it arrived: in a house of its own a worker may believe to have written."""
    done = [(name, verb, argument) for name, verb, argument in house.escapes() if found[str(name)] == "done"]
    return [name for name, verb, at in done if verb != "write" or arrived(Path(str(at)))]


async def test_a_free_worker_gets_everywhere_so_that_the_trials_below_show_something(house: House) -> None:
    found = await found_by(house, sandbox="none")
    assert escaped(house, found) == [name for name, *_ in house.escapes()]
    assert [name for name, *_ in house.needs() if found[str(name)] != "done"] == []


async def test_a_confined_worker_gets_at_its_job_and_at_nothing_else(house: House, level: str) -> None:
    found = await found_by(house, sandbox=level)
    assert escaped(house, found) == []
    assert {name: found[str(name)] for name, *_ in house.needs() if found[str(name)] != "done"} == {}
    status = found["status"]
    assert isinstance(status, dict)
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (house.root / "journal.db").read_text() == "secret"
    environment = found["environment"]
    assert isinstance(environment, dict)
    assert "API_KEY" not in environment
    assert not exists(environment["HOME"]), "the private folder stays behind"


async def test_limits_apply_at_every_level_but_none(house: House) -> None:
    found = await found_by(house, sandbox="rlimits", largest_file_bytes=1 << 30, address_space_bytes=1 << 33)
    limits = found["limits"]
    assert isinstance(limits, dict)
    wanted = {"Max core file size": "0", "Max file size": str(1 << 30), "Max address space": str(1 << 33)}
    assert wanted.items() <= limits.items()
    assert int(limits["Max open files"]) <= 65_536
    written = house.root / "jobs/job-00000000000000000000000001/attempt-1/found.json"
    assert written.stat().st_mode & 0o777 == 0o600


async def test_the_level_that_applies_is_told_with_the_job(bench: Bench, level: str) -> None:
    bench.settings = {**bench.settings, "sandbox": level, "memory_limit_bytes": 1 << 30}
    await accepted(bench, bench.submission())
    told = (await poll_until(bench.provider(), lambda each: each.status is JobStatus.SUCCEEDED))[-1].confinement
    assert told is not None
    assert (told.level, told.network, told.memory_limit_bytes) == (level, "closed", 1 << 30)
    assert "guard" in told.memory_limit_by


async def test_a_hub_that_may_be_reached_leaves_the_network_open_and_says_so(bench: Bench, level: str) -> None:
    bench.settings = {**bench.settings, "sandbox": level, "allow_hub": True}
    await accepted(bench, bench.submission())
    told = (await poll_until(bench.provider(), lambda each: each.status is JobStatus.SUCCEEDED))[-1].confinement
    assert told is not None
    assert (told.level, told.network) == (level, "open")
    assert "allow_hub" in " ".join(told.missing)


def test_where_bubblewrap_is_missing_landlock_is_taken_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock")
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = choose(LocalSettings(), tmp_path / "jobs", "cpu")
    assert choice.level == "landlock"
    assert choice.missing == ("bubblewrap does not work here: the program bwrap is not installed",)


async def test_where_no_sandbox_holds_limits_are_left_and_an_insisting_operator_gets_a_refusal(bench: Bench) -> None:
    """What workers may read holds the data folder: no level can close it."""
    bench.settings = {**bench.settings, "sandbox": "auto", "readable": [str(bench.root)]}
    choice = choose(settings_from(bench.settings), bench.root / "jobs", "cpu")
    assert choice.level == "rlimits"
    assert "holds the data folder" in " ".join(choice.missing)
    bench.settings = {**bench.settings, "require_sandbox": True}
    provider = bench.provider()
    checked = await provider.check(bench.configuration(), bench.dataset(), asked=())
    assert ["require_sandbox" in problem.message for problem in checked.errors] == [True]
    refused = await provider.submit(bench.submission())
    assert isinstance(refused, Rejected)
    assert refused.error.remedy is not None
    assert "require_sandbox = false" in refused.error.remedy
    bench.settings = {**bench.settings, "require_sandbox": False}
    assert isinstance(await bench.provider().submit(bench.submission()), Accepted)


def test_what_an_older_kernel_or_another_processor_leaves_open_is_told() -> None:
    assert gaps_of("landlock", abi=7, filtered=True) == ()
    assert gaps_of("bubblewrap", abi=0, filtered=False) == ()
    signals, sockets = gaps_of("landlock", abi=5, filtered=False)
    assert "ABI 5" in signals
    assert "Unix sockets stay open" in sockets


@pytest.mark.parametrize("sandbox", ["none", "rlimits"])
def test_insisting_on_a_sandbox_and_wanting_none_is_refused(sandbox: str) -> None:
    with pytest.raises(InvalidRequest, match="no sandbox"):
        settings_from({"sandbox": sandbox, "require_sandbox": True})


def test_a_folder_that_holds_the_data_folder_covers_it_also_through_a_link(tmp_path: Path) -> None:
    data = tmp_path / "house" / "data"
    data.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "house")
    paths = [str(tmp_path / "link"), str(data / "layers"), str(tmp_path / "house" / "data2")]
    assert covering(paths, data) == [str(tmp_path / "link")]


def test_a_snapshot_in_the_hubs_cache_brings_the_blobs_that_its_links_lead_to() -> None:
    assert hub_blobs(Path("/cache/models--a--b/snapshots/0f")) == ["/cache/models--a--b/blobs"]
    assert hub_blobs(Path("/models/small")) == []


def test_the_hubs_cache_is_named_also_where_only_the_home_is_known() -> None:
    assert hub_caches({"HOME": "/u"})["HF_HUB_CACHE"] == "/u/.cache/huggingface/hub"
    assert hub_caches({"HOME": "/u", "HF_HOME": "/h"}) == {"HF_HUB_CACHE": "/h/hub", "HF_XET_CACHE": "/h/xet"}


async def test_a_base_model_that_holds_the_data_folder_is_not_laid_open(bench: Bench, level: str) -> None:
    bench.settings = {**bench.settings, "sandbox": level}
    bench.model = make_model(bench.root)
    outcome = await bench.provider().submit(bench.submission())
    assert isinstance(outcome, Rejected)
    assert "holds the data folder" in outcome.error.message
