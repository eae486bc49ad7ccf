"""The daemon stops before and after every append and call of a withdrawal: it is removed once, and said so once."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.commands.test_layer_withdraw import unused
from tests.crash.stops import Fate, Mortal, MortalJournal
from tests.crash.test_deployment_every_step import given
from tests.daemon.daemon_rig import Json, running
from tests.daemon.test_withdrawals import removal

from genomed.daemon.journal.journal import Journal

pytestmark = [pytest.mark.crash]


class MortalProvider:
    def __init__(self, real: Any, fate: Fate) -> None:
        self.serving = Mortal(real.serving, fate, ("remove",))


async def lived(data_dir: Path, layer_id: str, faults: Json, *, die_at: int | None = None) -> list[str]:
    """A daemon's life, from the wish on where it was not written yet, until the end or its fate."""
    fate = Fate(die_at)

    def mortal(journal: Journal) -> Any:
        return MortalJournal(journal, fate)

    async with running(
        data_dir, given=given(faults), courier=False, triggers=False, journal_seen_by_parts=mortal
    ) as rig:
        loop = rig.parts.withdrawals
        provider_of = loop._provider_of
        served: Any = lambda name: MortalProvider(provider_of(name), fate)  # noqa: E731 -- stands in for a method
        loop._provider_of = served
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.run)
            if "layer.withdrawal_requested" not in await rig.types(f"layer/{layer_id}"):
                tasks.start_soon(rig.execute, "layer-withdraw", {"layerId": layer_id})

            async def over() -> bool:
                return fate.died.is_set() or "layer.withdrawn" in await rig.types(f"layer/{layer_id}")

            await rig.until(over, "the end")
            tasks.cancel_scope.cancel()
    return fate.steps


async def outcome(data_dir: Path, layer_id: str) -> Json:
    async with running(data_dir, given=given({}), courier=False, triggers=False) as rig:
        types = await rig.types(f"layer/{layer_id}")
        assert (await rig.call("log-verify"))["ok"] is True
        return {
            "removed": (await removal(rig, layer_id)).removed,
            "told": [types.count(one) for one in ("layer.withdrawal_requested", "layer.withdrawn")],
            "open": list(await rig.journal.query("SELECT layer_id FROM withdrawals WHERE open")),
        }


async def a_layer_in(data_dir: Path) -> str:
    async with running(data_dir, given=given({}), triggers=False) as rig:
        return await unused(rig)


@pytest.mark.parametrize("faults", [{}, {"broken_removals": 2}, {"forbidden_removals": 1}])
async def test_wherever_it_stops_it_is_removed_and_withdrawn_once(tmp_path: Path, faults: Json) -> None:
    whole = tmp_path / "undisturbed"
    layer_id = await a_layer_in(whole)
    steps = await lived(whole, layer_id, faults)
    assert {"before remove", "after remove", "before layer.withdrawn", "after layer.withdrawn"} <= set(steps)
    expected = await outcome(whole, layer_id)
    assert expected == {"removed": 1, "told": [1, 1], "open": []}
    for die_at in range(1, len(steps) + 1):
        folder = tmp_path / str(die_at)
        again = await a_layer_in(folder)
        await lived(folder, again, faults, die_at=die_at)
        await lived(folder, again, faults)
        assert await outcome(folder, again) == expected, f"stopped at step {die_at}: {steps[:die_at][-1]}"
