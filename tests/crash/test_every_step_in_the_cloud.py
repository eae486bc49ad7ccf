"""The daemon stops before and after every append and every call of a job's life in each cloud; the job is paid once.

The emulators keep their books while daemons come and go: what they accepted is what would be paid for.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.crash.cloud_worlds import CLOUDS, World, world
from tests.crash.stops import every, lived, spread
from tests.daemon.daemon_rig import Json, running
from tests.fault_record import record_fault

from genomed.entities.ids import submission_key

pytestmark = [pytest.mark.crash]

TIMES = {"etaS", "createdUs", "updatedUs", "startedUs", "finishedUs", "progressUs", "intendedUs"}
MAY_DIFFER = {"job.submission_unknown", "job.submission_not_found", "job.submission_deferred", "job.stalled"}

Prepare = Callable[[Path, World], Awaitable[None]]
Choose = Callable[[Sequence[str]], list[int]]

STOPS = [pytest.param(spread, id="a third of the stops"), pytest.param(every, id="every stop", marks=pytest.mark.long)]


async def created(folder: Path, there: World) -> None:
    async with running(folder, given=there.given, environment=there.environment, courier=False, triggers=False) as rig:
        await there.create_job(rig)


async def running_and_unwanted(folder: Path, there: World) -> None:
    there.emulator.hold()
    async with running(folder, given=there.given, environment=there.environment, triggers=False) as rig:
        job_id = await there.create_job(rig)
        await rig.job_when(job_id, lambda job: job.status == "running")
    async with running(folder, given=there.given, environment=there.environment, courier=False, triggers=False) as rig:
        await rig.call("job-cancel", {"jobId": job_id})


async def reply_lost(folder: Path, there: World) -> None:
    there.emulator.fault("create_job", "lose_reply")
    await created(folder, there)


async def request_lost(folder: Path, there: World) -> None:
    there.emulator.fault("create_job", "lose_request")
    there.emulator.fault("upload", "lose_reply")
    await created(folder, there)


WHOLE_LIVES: tuple[Prepare, ...] = (created, running_and_unwanted)
"""After it was accepted, a job whose reply was lost lives as any other: those lives are cut off up to there."""


async def outcome(folder: Path, there: World) -> Json:
    """What may not depend on where the daemon stopped: the fold, the curve, the layer, and the provider's own books."""
    async with running(folder, given=there.given, environment=there.environment, courier=False, triggers=False) as rig:
        [shown] = (await rig.call("job-list"))["jobs"]
        job_id = str(shown["jobId"])
        assert (await rig.call("log-verify"))["ok"] is True
        types = await rig.types(f"job/{job_id}")
        layers = (await rig.call("layer-list"))["layers"]
        return {
            "job": _timeless(msgspec.to_builtins(await rig.job(job_id)), job_id),
            "metrics": {
                name: [(point["step"], point["value"]) for point in points]
                for name, points in (await rig.call("job-metrics", {"jobId": job_id}))["series"].items()
            },
            "events": sorted(set(types) - MAY_DIFFER),
            "endings": [types.count(one) for one in ("job.training_finished", "job.succeeded", "job.cancelled")],
            "layers": len(layers),
            "accepted": sorted(there.emulator.accepted.values()),
        }


def _timeless(job: Json, job_id: str) -> Json:
    """The fold without times, and without names that hold the job's id."""
    text = msgspec.json.encode(job, order="sorted").decode()
    for word, mark in ((submission_key(job_id, 1), "KEY"), (job_id.removeprefix("job-"), "JOB")):
        text = text.replace(word, mark)

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {key: bare(one) for key, one in value.items() if key not in TIMES}
        return [bare(one) for one in value] if isinstance(value, list) else value

    made = bare(msgspec.json.decode(text))
    assert isinstance(made, dict)
    return made


def differing(expected: object, got: object, where: str = "") -> list[str]:
    """Each place in which the two are not the same."""
    if isinstance(expected, dict) and isinstance(got, dict):
        names = sorted(expected.keys() | got.keys())
        return [one for name in names for one in differing(expected.get(name), got.get(name), f"{where}.{name}")]
    return [] if expected == got else [f"{where}: {expected!r}, not {got!r}"]


async def every_stop_gives_the_same(name: str, tmp_path: Path, prepare: Prepare, choose: Choose) -> tuple[Json, int]:
    async def life(folder: Path, there: World, die_at: int | None) -> list[str]:
        return await lived(folder, given=there.given, environment=there.environment, attend=there.attend, die_at=die_at)

    async with world(name) as there:
        await prepare(tmp_path / "undisturbed", there)
        steps = await life(tmp_path / "undisturbed", there, None)
        expected = await outcome(tmp_path / "undisturbed", there)
    stops = choose(steps if prepare in WHOLE_LIVES else steps[: steps.index("after job.submitted") + 1])
    for die_at in stops:
        folder = tmp_path / str(die_at)
        async with world(name) as there:
            await prepare(folder, there)
            taken = await life(folder, there, die_at)
            await life(folder, there, None)
            differs = differing(expected, await outcome(folder, there))
            assert differs == [], f"stopped at step {die_at}: {taken[:die_at][-1]}"
    return expected, len(stops)


@pytest.mark.parametrize("choose", STOPS)
@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(created, id="plain"),
        pytest.param(reply_lost, id="reply lost"),
        pytest.param(request_lost, id="request lost", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("name", sorted(CLOUDS))
async def test_wherever_it_stops_the_job_succeeds_once_and_is_paid_once(
    name: str, tmp_path: Path, prepare: Prepare, choose: Choose, record_property: Callable[[str, object], None]
) -> None:
    expected, stops = await every_stop_gives_the_same(name, tmp_path, prepare, choose)
    record_property("stops", stops)
    record_fault("stop", f"between two steps of a job at {name}", "the same job, paid once", times=stops)
    assert (expected["job"]["status"], expected["accepted"], expected["layers"]) == ("succeeded", [1], 1)


@pytest.mark.parametrize("choose", STOPS)
@pytest.mark.parametrize("name", sorted(CLOUDS))
async def test_wherever_it_stops_a_cancel_reaches_the_cloud(
    name: str, tmp_path: Path, choose: Choose, record_property: Callable[[str, object], None]
) -> None:
    expected, stops = await every_stop_gives_the_same(name, tmp_path, running_and_unwanted, choose)
    record_property("stops", stops)
    record_fault("stop", f"between two steps of a cancelled job at {name}", "cancelled there, once", times=stops)
    assert (expected["job"]["status"], expected["accepted"], expected["endings"]) == ("cancelled", [1], [0, 0, 1])
