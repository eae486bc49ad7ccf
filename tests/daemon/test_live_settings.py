"""Settings that are read anew: what can change does, at once; what cannot is named; mistakes change nothing."""

from pathlib import Path

import anyio
import pytest

from genomed.daemon.configuration.live_settings import RELOADED, RELOADED_WITHIN, LiveSettings, Reloaded, reloadable
from genomed.daemon.configuration.settings import Loaded, Settings, load
from genomed.entities.configured import ConfigurationState


class File:
    """A configuration file that a test writes anew, and the settings that read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"HOME": "/h"}

    def read(self) -> Loaded:
        return load(self.environment, config=str(self.path), data=None, socket=None)

    def live(self, text: str) -> LiveSettings:
        self.path.write_text(text)
        loaded = self.read()
        return LiveSettings(loaded.settings, source=loaded.source, load=self.read)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "g.toml")


def source_of(state: ConfigurationState, field: str) -> str:
    return next(one.source for one in state.values if one.field == field)


async def test_what_can_change_holds_at_once_and_is_named(file: File) -> None:
    live = file.live('log_level = "info"\n[courier.slots]\nlocal = 1')
    slots = live.mapping(lambda now: now.courier.slots)
    file.path.write_text('log_level = "debug"\n[courier]\nquestions = 2\n[courier.slots]\nlocal = 4\nother = 5')
    reloaded = await live.reload()
    assert reloaded == Reloaded(
        changed=("courier.questions", "courier.slots.local", "courier.slots.other", "log_level")
    )
    assert (live.current.log_level, dict(slots), len(slots)) == ("debug", {"local": 4, "other": 5}, 2)
    assert live.poll_interval_s("local") == 0.5
    assert live.poll_interval_s("elsewhere") == live.current.courier.default_poll_s


async def test_what_needs_a_restart_stays_and_is_named_until_it_is_taken_back(file: File) -> None:
    live = file.live("[limits]\nconnections = 55")
    file.path.write_text("\n\n[limits]\nconnections = 66\n[providers.local]\nthreads = 2")
    reloaded = await live.reload()
    assert (reloaded.changed, reloaded.needs_restart) == ((), ("limits.connections", "providers.local"))
    assert live.current.limits.connections == 55
    state = live.state()
    assert state.needs_restart == ("limits.connections", "providers.local")
    assert source_of(state, "limits.connections").endswith("g.toml:2"), "from where it came at the start"
    file.path.write_text("[limits]\nconnections = 55")
    assert (await live.reload()) == Reloaded()
    assert live.state().needs_restart == ()


async def test_a_file_with_problems_changes_nothing_and_they_can_be_asked_for(file: File) -> None:
    live = file.live('log_level = "info"')
    before = live.current
    file.path.write_text('log_level = "loud"\n[courier]\nquestions = 0')
    reloaded = await live.reload()
    assert [one.field for one in reloaded.problems] == ["log_level", "courier.questions"]
    assert (live.current, live.state().problems) == (before, reloaded.problems)
    file.path.unlink()
    assert [one.field for one in (await live.reload()).problems] == ["config"]
    file.path.write_text('log_level = "error"')
    assert (await live.reload()).changed == ("log_level",)
    assert live.state().problems == ()


async def test_a_value_that_comes_from_elsewhere_now_says_so(file: File) -> None:
    live = file.live('log_level = "info"')
    file.environment["GENOMED_LOG_LEVEL"] = "info"
    assert await live.reload() == Reloaded()
    assert source_of(live.state(), "log_level") == "GENOMED_LOG_LEVEL"


async def test_who_waits_for_a_change_is_woken_by_one_and_by_nothing_else(file: File) -> None:
    live = file.live("")
    woken = 0

    async def wait() -> None:
        nonlocal woken
        await live.changed()
        woken += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await live.reload()
        await anyio.wait_all_tasks_blocked()
        assert woken == 0
        file.path.write_text('log_level = "error"')
        await live.reload()
    assert woken == 1


async def test_settings_that_nobody_can_read_anew_stay_as_they_are() -> None:
    live = LiveSettings(Settings(data_dir="/d", socket="/s"))
    assert await live.reload() == Reloaded()


def test_every_field_that_is_said_to_be_reloaded_exists() -> None:
    fields = set(Settings.__struct_fields__)
    assert set(RELOADED) <= fields
    assert set(RELOADED_WITHIN) <= fields - set(RELOADED)
    assert reloadable("log_level")
    assert not reloadable("data_dir")
