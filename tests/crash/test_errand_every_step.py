"""The daemon stops before and after every append and call of an errand: it is done once, published once, said once."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.adapters.local_bench import names_in
from tests.commands.local_layers import end_processes, local_layer, record_of, working
from tests.crash.stops import Fate, Mortal, MortalJournal, spread
from tests.daemon.daemon_rig import Json, Rig

from genomed.daemon.failpoints import ERRAND_CALLS
from genomed.daemon.journal.journal import Journal
from genomed.entities.errand_record import ErrandState

pytestmark = [pytest.mark.crash]


class MortalProvider:
    def __init__(self, real: Any, fate: Fate) -> None:
        self.name, self.errands = real.name, Mortal(real.errands, fate, (*ERRAND_CALLS, "look"))


async def the_errand(rig: Rig) -> str | None:
    rows = await rig.journal.query("SELECT errand_id FROM errands")
    return str(rows[0][0]) if rows else None


async def lived(root: Path, layer_id: str, *, die_at: int | None = None) -> list[str]:
    """A daemon's life, from the wish on where it was not written yet, until the end or its fate."""
    fate = Fate(die_at)

    def mortal(journal: Journal) -> Any:
        return MortalJournal(journal, fate)

    async with working(root, alone=True, journal_seen_by_parts=mortal) as rig:
        loop = rig.parts.errands
        provider_of = loop._provider_of
        mortal_of: Any = lambda name: MortalProvider(provider_of(name), fate)  # noqa: E731 -- stands in for a method
        loop._provider_of = mortal_of
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.run)
            if await the_errand(rig) is None:
                tasks.start_soon(rig.execute, "layer-export", {"layerId": layer_id})

            async def over() -> bool:
                own = await the_errand(rig)
                ended = own is not None and (await record_of(rig, own)).ended and rig.parts.errands.idle
                return fate.died.is_set() or ended

            await rig.until(over, "the end")
            tasks.cancel_scope.cancel()
    return fate.steps


async def outcome(root: Path) -> Json:
    async with working(root, alone=True) as rig:
        own = await the_errand(rig)
        assert own is not None
        record, types = await record_of(rig, own), await rig.types(f"errand/{own}")
        assert (await rig.call("log-verify"))["ok"] is True
        return {
            "state": record.state,
            "attempt": record.attempt,
            "told": [types.count(f"errand.{one}") for one in ("requested", "started", "finished")],
            "published": names_in(rig.data_dir / "exports") == [own],
            "whole": names_in(rig.data_dir / "exports" / own),
        }


async def test_wherever_it_stops_it_is_done_published_and_told_once(tmp_path: Path) -> None:
    fresh = tmp_path / "whole"
    async with working(fresh, alone=True) as rig:
        layer_id = await local_layer(rig, fresh)
    steps = await lived(fresh, layer_id)
    assert {"before start", "after publish", "before errand.finished", "after errand.finished"} <= set(steps)
    expected = await outcome(fresh)
    assert expected == {
        "state": ErrandState.FINISHED,
        "attempt": 1,
        "told": [1, 1, 1],
        "published": True,
        "whole": ["genomed-export.json", "model.onnx"],
    }
    for die_at in spread(steps):
        root = tmp_path / str(die_at)
        async with working(root, alone=True) as rig:
            again = await local_layer(rig, root)
        await lived(root, again, die_at=die_at)
        await lived(root, again)
        assert await outcome(root) == expected, f"stopped at step {die_at}: {steps[:die_at][-1]}"
        end_processes(root / "d")
