"""SIGHUP to a daemon that runs: it reads its configuration anew, says what came of it, and goes on in any case."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from tests.daemon.daemon_process import CONFIGURATION, DaemonProcess, Json, daemon_process
from tests.daemon.started_by_systemd import Ear, ear
from tests.patience import PATIENCE_S

pytestmark = [pytest.mark.crash]


@pytest.fixture
def listening() -> Iterator[Ear]:
    with ear() as made:
        yield made


@pytest.fixture
def daemon(listening: Ear) -> Iterator[DaemonProcess]:
    with daemon_process(environment={"NOTIFY_SOCKET": str(listening.path)}) as made:
        yield made


def configurations(daemon: DaemonProcess) -> list[Json]:
    return [event for event in daemon.events() if event["type"] == "daemon.configured"]


def reloaded(daemon: DaemonProcess, text: str) -> Json:
    """The event of a reload of this file."""
    before = len(configurations(daemon))
    (daemon.folder / "config.toml").write_text(text)
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGHUP)
    deadline = monotonic() + PATIENCE_S
    while len(told := configurations(daemon)) == before:
        assert monotonic() < deadline, daemon.log.read_text()[-3000:]
        sleep(0.02)
    return dict(told[-1])


def value(daemon: DaemonProcess, field: str) -> Json:
    [one] = daemon.call("config-show", {"section": field})["values"]
    return dict(one)


def findings(daemon: DaemonProcess) -> list[str]:
    return [one["message"] for one in daemon.call("doctor")["findings"] if one["about"] == "configuration"]


def test_a_reload_is_taken_by_those_who_use_it(daemon: DaemonProcess) -> None:
    assert value(daemon, "learning.base_model")["source"].endswith("config.toml:6")
    event = reloaded(daemon, CONFIGURATION.replace('"tiny"', '"other"') + "[policies.simulated]\nconfirm = true\n")
    assert (event["actor"], event["stream"]) == ("daemon", "daemon/configuration")
    assert event["event"]["changed"] == ["learning.base_model", "policies.simulated"]
    assert "other" not in str(event["event"]), "names of fields, never values"
    assert value(daemon, "learning.base_model")["value"] == '"other"'
    [simulated] = [one for one in daemon.call("provider-list")["providers"] if one["provider"] == "simulated"]
    assert simulated["confirm"] is True
    captured = daemon.call("capture-interaction", {"personaId": "ada", "domain": "d", "input": "a", "output": "b"})
    assert captured["interactionId"]
    assert daemon.call("bucket-status")["buckets"][0]["baseModel"] == "other"


def test_the_log_level_changes_with_it(daemon: DaemonProcess) -> None:
    text = 'log_level = "error"\n' + CONFIGURATION
    assert reloaded(daemon, text)["event"]["changed"] == ["log_level"]
    written = len(daemon.log.read_bytes())
    reloaded(daemon, text.replace('"tiny"', '"quiet"'))
    assert len(daemon.log.read_bytes()) == written, "nothing below an error is written any more"


def test_a_wrong_file_changes_nothing_and_is_told_everywhere(daemon: DaemonProcess) -> None:
    event = reloaded(daemon, CONFIGURATION + "[courier]\nquestions = 0\ncolour = 1\n")
    assert event["event"]["changed"] == []
    assert set(event["event"]["problems"]) == {"courier.questions", "courier.colour"}
    shown = daemon.call("config-show", {"section": "courier"})
    assert {one["field"] for one in shown["problems"]} == set(event["event"]["problems"])
    assert any("the last reload was refused" in one for one in findings(daemon))
    assert "configuration not taken" in daemon.log.read_text()
    reloaded(daemon, CONFIGURATION + "[self_tasks]\nsweep_s = 77\n")
    assert findings(daemon) == []


def test_a_service_manager_hears_of_it(daemon: DaemonProcess, listening: Ear) -> None:
    listening.until("READY")
    reloaded(daemon, "[courier\n")
    assert listening.until("RELOADING")["MONOTONIC_USEC"].isdigit()
    assert listening.until("READY")["STATUS"].startswith("configuration not taken, nothing changed: config:")
    while not (status := listening.next().get("STATUS", "")).startswith("configuration not taken"):
        pass
    assert "open jobs" in status, "it stays in the status line"
    listening.drain()
    reloaded(daemon, CONFIGURATION + "[self_tasks]\nsweep_s = 78\n")
    assert "changed: self_tasks.sweep_s" in listening.until("READY")["STATUS"]


def test_what_needs_a_restart_is_named_until_there_was_one(daemon: DaemonProcess) -> None:
    text = CONFIGURATION + "[limits]\nconnections = 33\n"
    assert reloaded(daemon, text)["event"]["needsRestart"] == ["limits.connections"]
    assert daemon.call("config-show")["needsRestart"] == ["limits.connections"]
    assert any("limits.connections" in one for one in findings(daemon))
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.call("config-show")["needsRestart"] == []
    assert value(daemon, "limits.connections")["value"] == "33"


def test_limits_of_one_request_are_taken_and_those_of_the_door_itself_are_not(daemon: DaemonProcess) -> None:
    text = CONFIGURATION + "[limits]\nbus_batch = 4\nidle_s = 77\nbody_bytes = 5000\n"
    event = reloaded(daemon, text)["event"]
    assert (event["changed"], event["needsRestart"]) == (["limits.bus_batch", "limits.idle_s"], ["limits.body_bytes"])


def test_a_reload_that_changes_nothing_is_no_event(daemon: DaemonProcess) -> None:
    before = len(configurations(daemon))
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGHUP)
    deadline = monotonic() + PATIENCE_S
    while "changed: nothing" not in daemon.log.read_text():
        assert monotonic() < deadline
        sleep(0.02)
    assert len(configurations(daemon)) == before
    assert Path(daemon.folder).exists()
