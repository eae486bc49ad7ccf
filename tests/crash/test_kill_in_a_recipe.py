"""kill -9 of the daemon in the middle of a recipe: exactly the wanted rows, and nothing that was finished asked twice.

The recipe comes into the daemon as a plug-in does: from a distribution of its own, by its entry point.
"""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from anyio.from_thread import start_blocking_portal
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process
from tests.daemon.recipe_rig import doubles
from tests.emulators.llm_server import LLMServer, llm_server
from tests.patience import PATIENCE_S
from tests.recipes import small_recipe

from genomed.daemon.journal.database import DATABASE_FILE

pytestmark = [pytest.mark.crash]

WANTED = 100
MORE = 4
"""Answers that are still given while a kill comes, as many as are asked for at once; the rest wait, lest it be late."""

WISH = {"recipe": "test.sums", "personaId": "ada", "wanted": WANTED, "model": "small", "budget": {"requests": 1000}}


@contextmanager
def world(tmp_path: Path, **model: object) -> Iterator[tuple[DaemonProcess, LLMServer]]:
    """A daemon with the plug-in and the model, and the server that outlives it."""
    site = plug_in(tmp_path / "site")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(llm_server(doubles)) as server:
        settings = {"base_url": server.base_url, "model": "fake-1", "retry_s": 0.05} | model
        lines = "".join(f"{name} = {_toml(value)}\n" for name, value in settings.items())
        with daemon_process(configuration=f"[models.small]\n{lines}", environment={"PYTHONPATH": str(site)}) as daemon:
            yield daemon, server


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def plug_in(site: Path) -> Path:
    information = site / "small_recipe-1.0.dist-info"
    information.mkdir(parents=True)
    shutil.copy(small_recipe.__file__, site / "small_recipe.py")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: small-recipe\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[genomed.recipes]\ntest.sums = small_recipe:RECIPE\nbroken = no_such_module:RECIPE\n"
    )
    return site


def status(daemon: DaemonProcess, run_id: str) -> Json:
    [run] = daemon.call("recipe-status", {"runId": run_id})["runs"]
    return dict(run)


def when(daemon: DaemonProcess, run_id: str, rows: int) -> Json:
    """The run once it has so many rows, or has ended."""
    deadline = monotonic() + PATIENCE_S
    while True:
        run = status(daemon, run_id)
        if run["rows"] >= rows or run["endedUs"] is not None:
            return run
        assert monotonic() < deadline, (run, daemon.log.read_text()[-3000:])
        sleep(0.005)


def ended(daemon: DaemonProcess, run_id: str) -> Json:
    deadline = monotonic() + PATIENCE_S
    while (run := status(daemon, run_id))["endedUs"] is None:
        assert monotonic() < deadline, (run, daemon.log.read_text()[-3000:])
        sleep(0.01)
    return run


def finished(daemon: DaemonProcess, copy: Path) -> set[str]:
    """Prompts of the work items that were finished when the daemon was killed, read from a copy of its log."""
    shutil.copytree(daemon.data, copy, ignore=shutil.ignore_patterns("*.sock"))
    with closing(sqlite3.connect(copy / DATABASE_FILE)) as log:
        keys = [str(key) for (key,) in log.execute("SELECT key FROM recipe_items WHERE NOT failed")]
    return {f"Double {key.removeprefix('sum-')}. Answer as JSON." for key in keys}


def rows(daemon: DaemonProcess, run: Json) -> Counter[str]:
    proposed = [one["event"] for one in daemon.events() if one["type"] == "item.proposed"]
    return Counter(one["itemKey"] for one in proposed if one["batchId"] == run["batchId"])


@pytest.mark.parametrize("kills", [1, 4])
def test_killed_in_the_middle_of_a_hundred_items_it_ends_with_exactly_a_hundred_rows(
    tmp_path: Path, kills: int
) -> None:
    dice = random.Random(kills)
    with world(tmp_path) as (daemon, server):
        server.delay_s = 0.002
        asked_when_done: dict[str, int] = {}
        asked_before: Counter[str] = Counter()
        kill_at = [dice.randrange(10, 20) + n * WANTED // (kills + 1) for n in range(kills)]
        server.hold(but=kill_at[0] + MORE)
        run_id = daemon.call("recipe-run", WISH)["runId"]
        for n in range(kills):
            when(daemon, run_id, kill_at[n])
            daemon.kill()
            asked_before = server.prompts()
            done = finished(daemon, tmp_path / f"copy-{n}")
            asked_when_done = {prompt: asked_before[prompt] for prompt in done} | asked_when_done
            if n + 1 < kills:
                server.hold(but=kill_at[n + 1] - len(done) + MORE)
            else:
                server.release()
            daemon.start()
        run = ended(daemon, run_id)
        assert (run["state"], run["rows"]) == ("completed", WANTED)
        given = rows(daemon, run)
        assert (sum(given.values()), set(given.values())) == (WANTED, {1})
        assert len(asked_when_done) >= 10
        assert asked_before.total() < WANTED, "the kill came too late to prove anything"
        asked = server.prompts()
        assert {prompt: asked[prompt] for prompt in asked_when_done} == asked_when_done, (
            "a finished item was asked again"
        )
        assert sum(asked.values()) - len(asked) <= 4 * kills, "only what was under way at a kill may be asked again"
        assert daemon.call("log-verify")["ok"] is True


def test_killed_while_every_answer_is_withheld_it_asks_them_again_and_only_them(tmp_path: Path) -> None:
    with world(tmp_path) as (daemon, server):
        server.hold()
        run_id = daemon.call("recipe-run", WISH | {"wanted": 8})["runId"]
        deadline = monotonic() + PATIENCE_S
        while len(server.asked) < 4:
            assert monotonic() < deadline
            sleep(0.005)
        daemon.kill()
        server.release()
        daemon.start()
        run = ended(daemon, run_id)
        assert (run["state"], run["rows"]) == ("completed", 8)
        assert sorted(server.prompts().values()) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_a_plug_in_that_cannot_be_loaded_is_reported_and_the_others_work(tmp_path: Path) -> None:
    with world(tmp_path) as (daemon, _):
        listed = daemon.call("recipe-list")
        assert "test.sums" in [one["name"] for one in listed["recipes"]]
        assert [one["source"] for one in listed["recipes"] if one["name"] == "test.sums"] == ["small-recipe 1.0"]
        [complaint] = listed["complaints"]
        assert "'broken' of small-recipe 1.0 is left out" in complaint
