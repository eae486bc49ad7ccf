"""Wherever the daemon stops, what a job costs is reserved once and settled or released once."""

from pathlib import Path

import pytest
from tests.crash.stops import lived
from tests.daemon.daemon_rig import Json, running

from genomed.entities.spend import Ledger, ledger_stream

pytestmark = [pytest.mark.crash]

FAST: Json = {"courier": {"poll_s": {"simulated": 0.001}}}


def priced(**money: object) -> Json:
    """Under a cap that admits the job once, so that money counted twice would refuse it."""
    return FAST | {
        "providers": {"simulated": {"price_usd": 1.0, **money}},
        "budget": {"overall": {"jobUsd": 2, "dayUsd": 2, "monthUsd": 2}},
    }


async def books(data_dir: Path, given: Json) -> Json:
    """The ledger, without what the clock decides."""
    async with running(data_dir, given=given, courier=False, triggers=False) as rig:
        [shown] = (await rig.call("job-list"))["jobs"]
        job = await rig.job(shown["jobId"])
        state = (await rig.journal.load(ledger_stream(rig.clock()))).state
        assert isinstance(state, Ledger)
        assert (await rig.call("log-verify"))["ok"] is True
        return {
            "status": job.status,
            "accepted": [rig.remote(shown["jobId"], attempt.number).accepted for attempt in job.attempts],
            "open": len(state.open),
            "settled": [sums.overall for sums in state.days.values()],
            "jobs": list(state.jobs.values()),
            "unpriced": state.unpriced,
            "events": [one.type for one in await rig.journal.read(ledger_stream(rig.clock()))],
        }


async def asked_for(data_dir: Path, given: Json, faults: Json) -> None:
    async with running(data_dir, given=given, courier=False, triggers=False) as rig:
        await rig.create_job(**{"steps": 2, "forgetsKeys": True} | faults)


async def every_stop_gives_the_same(tmp_path: Path, given: Json, faults: Json) -> Json:
    await asked_for(tmp_path / "undisturbed", given, faults)
    steps = await lived(tmp_path / "undisturbed", given=given)
    expected = await books(tmp_path / "undisturbed", given)
    for die_at in range(1, len(steps) + 1):
        folder = tmp_path / str(die_at)
        await asked_for(folder, given, faults)
        taken = await lived(folder, given=given, die_at=die_at)
        await lived(folder, given=given)
        assert await books(folder, given) == expected, f"stopped at step {die_at}: {taken[:die_at][-1]}"
    return expected


@pytest.mark.parametrize(
    ("money", "faults", "settled", "events"),
    [
        ({}, {}, [1_000_000], ["spend.reserved", "spend.settled"]),
        ({"quote_usd": 1.5}, {"lostReply": True}, [1_500_000], ["spend.reserved", "spend.adjusted", "spend.settled"]),
        ({"cost_usd": 0.25}, {"failAtStep": 1}, [250_000], ["spend.reserved", "spend.settled"]),
        ({}, {"rejectCreate": True}, [], ["spend.reserved", "spend.released"]),
    ],
    ids=["estimated", "quoted, reply lost", "priced at its failure", "refused"],
)
async def test_wherever_it_stops_the_money_is_counted_once(
    tmp_path: Path, money: Json, faults: Json, settled: list[int], events: list[str]
) -> None:
    expected = await every_stop_gives_the_same(tmp_path, priced(**money), faults)
    assert (expected["open"], expected["settled"], expected["events"]) == (0, settled, events)
