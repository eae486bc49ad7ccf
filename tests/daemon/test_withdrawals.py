"""The loop of withdrawals: it asks until the provider keeps the result no more, also over restarts of the daemon."""

from pathlib import Path

import anyio
import msgspec
import pytest
from tests.commands.test_layer_withdraw import unused, withdrawn
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.adapters.simulated.serving import Removed, removal_file
from genomed.entities.deployment_events import LayerWithdrawalTroubled
from genomed.entities.errors import ErrorKind
from genomed.entities.layer import Layer


def given(**knobs: object) -> Json:
    return {
        "allowed_providers": ["simulated"],
        "courier": {"poll_s": {"simulated": 0.001}},
        "providers": {"simulated": {"serving": knobs}},
    }


async def removal(rig: Rig, layer_id: str) -> Removed:
    state = (await rig.journal.load(f"layer/{layer_id}")).state
    assert isinstance(state, Layer)
    path = anyio.Path(rig.data_dir) / "jobs" / "simulated-serving" / removal_file(state.published.artifact.location)
    return msgspec.json.decode(await path.read_bytes(), type=Removed)


async def test_an_outage_is_waited_out_and_is_no_news(tmp_path: Path) -> None:
    async with running(tmp_path, given=given(broken_removals=3), triggers=False) as rig:
        layer_id = await unused(rig)
        await rig.call("layer-withdraw", {"layerId": layer_id})
        await withdrawn(rig, layer_id)
        there = await removal(rig, layer_id)
        assert (there.calls, there.removed) == (4, 1)
        assert await rig.events(f"layer/{layer_id}", LayerWithdrawalTroubled) == []


async def test_a_refusal_is_noted_once_and_it_is_asked_again(tmp_path: Path) -> None:
    async with running(tmp_path, given=given(forbidden_removals=3), triggers=False) as rig:
        layer_id = await unused(rig)
        await rig.call("layer-withdraw", {"layerId": layer_id})
        view = await withdrawn(rig, layer_id)
        [trouble] = await rig.events(f"layer/{layer_id}", LayerWithdrawalTroubled)
        assert trouble.kind is ErrorKind.FORBIDDEN
        assert view["withdrawn"]["trouble"] is None


async def test_an_open_withdrawal_is_taken_up_by_the_next_daemon(tmp_path: Path) -> None:
    async with running(tmp_path, given=given(), triggers=False) as rig:
        layer_id = await unused(rig)
    async with running(tmp_path, given=given(), courier=False, triggers=False) as rig:
        await rig.call("layer-withdraw", {"layerId": layer_id})
    async with running(tmp_path, given=given(), triggers=False) as rig:
        await withdrawn(rig, layer_id)
        assert (await removal(rig, layer_id)).removed == 1


async def test_a_provider_that_deletes_nothing_any_more_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, given=given(), triggers=False) as rig:
        layer_id = await unused(rig)
    async with running(tmp_path, given=given(), courier=False, triggers=False) as rig:
        await rig.call("layer-withdraw", {"layerId": layer_id})
        monkeypatch.setattr(rig.parts.providers.get("simulated"), "serving", None)

        async def noted() -> bool:
            return bool(await rig.events(f"layer/{layer_id}", LayerWithdrawalTroubled))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.parts.withdrawals.run)
            await rig.until(noted, "the trouble")
            tasks.cancel_scope.cancel()
        [trouble] = await rig.events(f"layer/{layer_id}", LayerWithdrawalTroubled)
        assert trouble.kind is ErrorKind.UNSUPPORTED
