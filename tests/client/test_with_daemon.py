"""The client against the daemon itself: agents lose nothing and do nothing twice while it is killed under them."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from tests.client.real_daemon import RealDaemon, chat_lines
from tests.patience import PATIENCE_S

from genomed.client import Client
from genomed.commands import dataset_import, job_create, log_verify
from genomed.commands.capture_interaction import FoundResult
from genomed.entities.configuration import DatasetsSection, JobConfiguration, MethodSection, ModelSection, Scalar
from genomed.entities.errors import Conflict, InvalidRequest, NotFound
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.types import FeedbackKind, JobStatus, TrainingMethod
from genomed.entities.wire import ToldEvent

pytestmark = pytest.mark.crash


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    with RealDaemon(tmp_path) as daemon:
        yield daemon


async def imported(genome: Client, folder: Path) -> str:
    path = folder / "rows.jsonl"
    await to_thread.run_sync(lambda: path.write_text(chat_lines(30)))
    imported = await genome.call(dataset_import, dataset_import.Params(persona_id="ada", path=str(path)))
    assert imported.dataset_id is not None
    return imported.dataset_id


def simulated(dataset_id: str, **metadata: Scalar) -> job_create.Params:
    configuration = JobConfiguration(
        model=ModelSection(base_model="tiny"),
        datasets=DatasetsSection(training_file_id=dataset_id),
        method=MethodSection(type=TrainingMethod.LORA),
        metadata=dict(metadata),
    )
    return job_create.Params(persona_id="ada", provider="simulated", domain="support", configuration=configuration)


async def test_what_an_agent_did_and_how_it_was_judged_waits_in_its_bucket(daemon: RealDaemon) -> None:
    async with Client(daemon.socket) as genome:
        kept = await genome.capture("ada", "support", input="where?", output="there", base_model="tiny")
        judged = await genome.feedback(kept.interaction_id, FeedbackKind.CORRECTION, corrected_output="here")
        assert judged.usable
        (bucket,) = await genome.bucket_status(persona_id="ada")
    assert bucket.bucket_id == kept.bucket_id == judged.bucket_id
    assert bucket.counts.usable == 1


async def test_a_session_is_judged_at_once_and_a_search_by_its_results(daemon: RealDaemon) -> None:
    found = [FoundResult(id="doc-1", content="a pinch"), FoundResult(id="doc-2", content="a bag")]
    async with Client(daemon.socket) as genome:
        for said in ("where?", "when?"):
            await genome.capture("ada", "support", input=said, output="there", base_model="tiny", session_id="s-1")
        judged = await genome.feedback_on_session("s-1", FeedbackKind.BOOLEAN, metric="solved", value=True)
        assert (judged.judged, judged.usable) == (2, True)
        search = await genome.capture("ada", "support", input="salt", results=found, base_model="tiny")
        clicked = await genome.feedback(search.interaction_id, FeedbackKind.BOOLEAN, value=True, result_id="doc-1")
        assert clicked.quality is None


async def test_an_error_of_the_daemon_is_the_exception_of_its_kind(daemon: RealDaemon) -> None:
    async with Client(daemon.socket) as genome:
        with pytest.raises(NotFound):
            await genome.wait_for_job("job-00000000000000000000000000")
        with pytest.raises(InvalidRequest) as refused:
            await genome.feedback("int-1", FeedbackKind.SCORE)
        assert [problem.field for problem in refused.value.details] == ["score"]
        await genome.capture("ada", "support", input="a", output="b", key="k")
        with pytest.raises(Conflict):
            await genome.capture("ada", "support", input="another", output="b", key="k")


async def test_a_job_is_waited_for_to_its_end_over_a_kill_of_the_daemon(daemon: RealDaemon, tmp_path: Path) -> None:
    async with Client(daemon.socket) as genome:
        dataset_id = await imported(genome, tmp_path)
        job = await genome.call(job_create, simulated(dataset_id, steps=8, secondsPerStep=0.25))

        async def kill() -> None:
            await anyio.sleep(0.7)
            await to_thread.run_sync(daemon.kill)
            await anyio.sleep(0.3)
            await to_thread.run_sync(daemon.start)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            ended = await genome.wait_for_job(job.job_id, timeout_s=PATIENCE_S)
            assert ended.status is JobStatus.SUCCEEDED
            assert ended.job.simulated
            assert ended.job.layer_id is not None


async def test_agents_capturing_while_the_daemon_is_killed_thrice_capture_each_thing_once(daemon: RealDaemon) -> None:
    captures = 120
    seen: list[ToldEvent] = []
    answered: list[str] = []
    async with Client(daemon.socket) as genome, anyio.create_task_group() as group:

        async def follow() -> None:
            async for told in genome.events(after=0, patterns=["interaction.captured"]):
                seen.append(told)
                if len(seen) == captures:
                    return

        async def kill_thrice() -> None:
            for _ in range(3):
                await anyio.sleep(0.4)
                await to_thread.run_sync(daemon.kill)
                await to_thread.run_sync(daemon.start)

        async def agent(persona: str) -> None:
            for n in range(captures // 4):
                kept = await genome.capture(persona, "support", input=f"{persona} {n}", output="yes")
                answered.append(kept.interaction_id)
                await anyio.sleep(0.05)

        group.start_soon(follow)
        group.start_soon(kill_thrice)
        for persona in ("ada", "bob", "cy", "di"):
            group.start_soon(agent, persona)
    positions = [told.position for told in seen]
    assert positions == sorted(set(positions))
    assert {told.stream.removeprefix("interaction/") for told in seen} == set(answered)
    assert all(isinstance(told.event, InteractionCaptured) for told in seen)
    async with Client(daemon.socket) as genome:
        whole = [told async for told in genome.events(after=0, patterns=["interaction.captured"], follow=False)]
        assert len(whole) == captures
        assert (await genome.call(log_verify, log_verify.Params())).ok
