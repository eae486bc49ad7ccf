"""The loops that carry errands, with real processes: across restarts, one after the other, cancelled, lost, failed."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.adapters.local_bench import names_in
from tests.commands.local_layers import errand_ended, local_layer, record_of, waits, working
from tests.daemon.daemon_rig import Json, Rig
from tests.patience import PATIENCE_S

from genomed.daemon.journal.journal import Journal
from genomed.entities.errand_port import RunsErrands
from genomed.entities.errand_record import ErrandState
from genomed.entities.errors import ErrorKind
from genomed.entities.journal_port import Loaded

TWO: Json = {"poll_s": {"local": 0.01}, "errands": 2}


async def asked(rig: Rig, layer_id: str, command: str = "layer-export", **more: object) -> str:
    return str((await rig.call(command, {"layerId": layer_id, **more}))["errand"]["errandId"])


async def in_state(rig: Rig, errand_id: str, state: ErrandState) -> None:
    async def there() -> bool:
        return (await record_of(rig, errand_id)).state is state

    await rig.until(there, f"{state} of {errand_id}")


def exports(rig: Rig) -> list[str]:
    return names_in(rig.data_dir / "exports") if (rig.data_dir / "exports").exists() else []


async def test_an_errand_goes_from_the_wish_to_a_published_result_and_leaves_no_scratch(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        errand_id = await asked(rig, await local_layer(rig, tmp_path))
        record = await errand_ended(rig, errand_id)
        assert record.finished is not None, record.error
        assert (record.finished.facts, record.finished.path) == (
            {"largestDifference": 1e-6},
            str(rig.data_dir / "exports" / errand_id),
        )
        assert exports(rig) == [errand_id]

        async def cleared() -> bool:
            return not (rig.data_dir / "errands" / errand_id).exists()

        await rig.until(cleared, "the scratch to be gone")
        assert await rig.types(f"errand/{errand_id}") == ["errand.requested", "errand.started", "errand.finished"]


async def test_a_restart_in_the_middle_does_not_disturb_the_process(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        errand_id = await asked(rig, await local_layer(rig, tmp_path, *waits(go)))
        await in_state(rig, errand_id, ErrandState.RUNNING)

        async def started() -> bool:
            return rig.parts.errands.progress(errand_id) is not None

        await rig.until(started, "the process")
    go.touch()
    async with working(tmp_path) as rig:
        record = await errand_ended(rig, errand_id)
        assert (record.state, record.attempt, record.lost) == (ErrandState.FINISHED, 1, ())
        assert exports(rig) == [errand_id]


async def test_one_runs_at_a_time_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, *waits(go))
        first, second, third = [await asked(rig, layer_id) for _ in range(3)]
        await in_state(rig, first, ErrandState.RUNNING)
        await rig.call("errand-cancel", {"errandId": second, "waitS": PATIENCE_S})
        assert (await record_of(rig, second)).state is ErrandState.CANCELLED, "one that waits needs no place"
        assert (await record_of(rig, third)).state is ErrandState.REQUESTED
        go.touch()
        assert (await errand_ended(rig, third)).state is ErrandState.FINISHED
        assert exports(rig) == [first, third]


class LateReader:
    """The real journal, which answers about one stream only after it has answered about another."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.late, self.first = "", ""
        self._told = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def load(self, stream: str) -> Loaded:
        if stream == self.late:
            await self._told.wait()
        loaded = await self._journal.load(stream)
        if stream == self.first:
            self._told.set()
        return loaded


@pytest.mark.parametrize("began", [False, True], ids=["both wait", "the first one runs"])
async def test_one_that_was_read_before_its_forerunner_starts_as_soon_as_there_is_room(
    tmp_path: Path, *, began: bool
) -> None:
    go = tmp_path / "go"
    async with working(tmp_path, alone=not began) as rig:
        layer_id = await local_layer(rig, tmp_path, *waits(go))
        first, second = [await asked(rig, layer_id) for _ in range(2)]
        if began:
            await in_state(rig, first, ErrandState.RUNNING)
    readers: list[LateReader] = []

    def read_late(journal: Journal) -> Any:
        readers.append(LateReader(journal))
        return readers[0]

    async with working(tmp_path, more={"courier": TWO}, alone=True, journal_seen_by_parts=read_late) as rig:
        readers[0].late, readers[0].first = f"errand/{first}", f"errand/{second}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.parts.errands.run)
            await in_state(rig, second, ErrandState.RUNNING)
            await in_state(rig, first, ErrandState.RUNNING)
            go.touch()
            for errand_id in (first, second):
                assert (await errand_ended(rig, errand_id)).state is ErrandState.FINISHED
            tasks.cancel_scope.cancel()


async def test_more_run_at_a_time_as_soon_as_the_configuration_says_so(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, *waits(go))
        first, second = [await asked(rig, layer_id) for _ in range(2)]
        await in_state(rig, first, ErrandState.RUNNING)
        assert (await record_of(rig, second)).state is ErrandState.REQUESTED
        await rig.reconfigure({"courier": TWO})
        await in_state(rig, second, ErrandState.RUNNING)
        assert (await record_of(rig, first)).state is ErrandState.RUNNING
        go.touch()
        for errand_id in (first, second):
            await errand_ended(rig, errand_id)


async def test_scratch_that_cannot_go_is_no_failure_of_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(tmp_path) as rig:
        provider = rig.parts.providers.get("local")
        assert isinstance(provider, RunsErrands)

        async def stuck(errand_id: str) -> int:
            raise RuntimeError(f"{errand_id} stays")

        monkeypatch.setattr(provider.errands, "clear", stuck)
        errand_id = await asked(rig, await local_layer(rig, tmp_path))
        await errand_ended(rig, errand_id)

        async def left() -> bool:
            return rig.parts.errands.idle

        await rig.until(left, "the end of its loop")
        assert await rig.types(f"errand/{errand_id}") == ["errand.requested", "errand.started", "errand.finished"]


async def test_a_cancelled_one_stops_and_publishes_nothing(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        errand_id = await asked(rig, await local_layer(rig, tmp_path, ("obey", None)))
        await in_state(rig, errand_id, ErrandState.RUNNING)
        wish = {"errandId": errand_id, "waitS": PATIENCE_S, "reason": "enough"}
        view = (await rig.call("errand-cancel", wish))["errand"]
        assert (view["state"], view["path"]) == ("cancelled", None)
        assert exports(rig) == []


async def test_a_failed_one_says_why_and_publishes_nothing(tmp_path: Path) -> None:
    failed = {"type": "failed", "kind": "training_failed", "message": "the logits differ by 0.3"}
    async with working(tmp_path) as rig:
        notice = ("tell", {"type": "notice", "code": "odd", "message": "hm"})
        errand_id = await asked(rig, await local_layer(rig, tmp_path, notice, ("tell", failed)))
        record = await errand_ended(rig, errand_id)
        assert record.error is not None
        assert (record.error.kind, record.error.message) == (ErrorKind.TRAINING_FAILED, "the logits differ by 0.3")
        assert [(note.code, note.message) for note in record.notes] == [("odd", "hm")]
        assert exports(rig) == []


async def test_a_lost_one_is_started_again_twice_and_then_fails(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        errand_id = await asked(rig, await local_layer(rig, tmp_path, ("die", 3)))
        record = await errand_ended(rig, errand_id)
        assert (record.state, record.attempt, len(record.lost)) == (ErrandState.FAILED, 3, 3)
        assert record.error is not None
        assert "lost 3 times" in record.error.message


async def test_a_layer_changed_on_disk_is_not_worked_on(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        (rig.data_dir / "layers" / layer_id / "adapter_config.json").write_bytes(b'{"evil": 1}')
        record = await errand_ended(rig, await asked(rig, layer_id))
        assert record.error is not None
        assert record.error.kind is ErrorKind.CONFLICT


async def test_a_publication_that_no_event_told_of_is_found_by_the_next_daemon(tmp_path: Path) -> None:
    """As after a crash between the two: what lies there is taken, and the log says it once."""
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        first = await errand_ended(rig, await asked(rig, layer_id))
        assert first.finished is not None
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        second = await asked(rig, await local_layer(rig, tmp_path, *waits(go)))
        await in_state(rig, second, ErrandState.RUNNING)
        there = rig.data_dir / "exports" / second
        half = there.with_name(f"{second}.partial")
        half.mkdir(parents=True)
        (half / "left-over").touch()
        go.touch()
        assert (await errand_ended(rig, second)).state is ErrandState.FINISHED
        assert names_in(there) == ["genomed-export.json", "model.onnx"]
        assert not half.exists()


async def test_scratch_of_what_failed_goes_by_the_rule_for_files_of_jobs(tmp_path: Path) -> None:
    async with working(tmp_path, more={"retention": {"job_files_after_days": 1}}) as rig:
        failed = ("tell", {"type": "failed", "kind": "capacity", "message": "m"})
        errand_id = await asked(rig, await local_layer(rig, tmp_path, failed))
        await errand_ended(rig, errand_id)
        assert (await rig.call("retention-run"))["errands"] == []
        assert (rig.data_dir / "errands" / errand_id).exists()
        rig.clock.ahead_us = 2 * 86_400_000_000
        assert (await rig.call("retention-run", {"dryRun": True}))["errands"] == [errand_id]
        swept = await rig.call("retention-run")
        assert swept["errands"] == [errand_id]
        assert swept["freedBytes"] > 0
        assert not (rig.data_dir / "errands" / errand_id).exists()
