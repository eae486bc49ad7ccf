"""A job's way through a provider that does what it is asked: once, to its end, across any number of restarts."""

import json
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from blockbuster import blockbuster_ctx

from genomed.conformance.honesty_laws import assert_sound
from genomed.conformance.laws import Laws, unhushed
from genomed.conformance.subject import BETWEEN_LOOKS_S, LIMIT_S, Subject, is_over
from genomed.entities.errors import Unsupported
from genomed.entities.ids import submission_key
from genomed.entities.ports import Absent, Accepted, Found, LayerRequest, PublishedLayer, Snapshot, Unsearchable
from genomed.entities.types import JobStatus


class RunLaws(Laws):
    async def test_it_can_train_something(self, subject: Subject) -> None:
        capabilities = await subject.new_daemon().capabilities()
        assert capabilities.available, capabilities.reason
        assert capabilities.supported_methods
        assert capabilities.supported_row_kinds

    async def test_a_sound_configuration_is_not_refused(self, subject: Subject) -> None:
        checked = await subject.new_daemon().check(subject.configuration, subject.dataset, asked=())
        assert checked.errors == ()

    async def test_a_quote_is_a_price_and_starts_nothing(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        quote = await provider.quote(await subject.submission())
        assert (quote is not None) == (await provider.capabilities()).features.quote
        if quote is not None:
            assert_sound(quote)
        assert subject.jobs() in (None, 0)

    async def test_one_key_starts_one_job(self, subject: Subject) -> None:
        first = await subject.submitted(subject.unending)
        again = await subject.new_daemon().submit(await subject.submission(subject.unending))
        assert isinstance(again, Accepted)
        assert again.provider_job_id == first
        assert subject.jobs() in (None, 1)

    async def test_a_submitted_key_is_found_after_a_restart(self, subject: Subject) -> None:
        theirs = await subject.submitted(subject.unending)
        assert await subject.found() in (Found(provider_job_id=theirs), Unsearchable())

    async def test_a_key_nobody_submitted_is_never_found(self, subject: Subject) -> None:
        await subject.submitted(subject.unending)
        looked_up = await subject.found(submission_key("job-nobody", 1), job_id="job-nobody")
        assert looked_up in (Absent(), Unsearchable())

    async def test_a_run_ends_with_an_artifact_through_any_number_of_restarts(self, subject: Subject) -> None:
        seen = await subject.ended(await subject.submitted())
        assert seen[-1].status is JobStatus.SUCCEEDED
        assert seen[-1].artifact is not None
        assert all(snapshot.provider_status for snapshot in seen)
        assert all(snapshot.cost_usd is None or snapshot.cost_usd >= 0 for snapshot in seen)
        assert unhushed(subject, *seen) == []

    async def test_every_status_word_that_it_uses_is_one_that_it_told(self, subject: Subject) -> None:
        words = (await subject.new_daemon().capabilities()).status_words
        if not words:
            pytest.skip("this provider's words are nobody else's")
        seen = await subject.ended(await subject.submitted())
        assert {snapshot.provider_status for snapshot in seen} <= set(words)

    async def test_each_point_is_told_once_along_the_cursors(self, subject: Subject) -> None:
        seen = await subject.ended(await subject.submitted())
        told = [(point.name, point.step) for snapshot in seen for point in snapshot.points]
        assert bool(told) == (await subject.new_daemon().capabilities()).features.metrics
        assert len(told) == len(set(told))

    async def test_what_was_not_stored_is_told_again(self, subject: Subject) -> None:
        theirs = await subject.submitted()
        seen = await subject.ended(theirs)
        told = [point.value for snapshot in seen for point in snapshot.points]
        assert [point.value for point in (await subject.poll(theirs)).points] == told

    async def test_an_end_stays_an_end(self, subject: Subject) -> None:
        theirs = await subject.submitted()
        last = (await subject.ended(theirs))[-1]
        again = await subject.poll(theirs, last.cursor)
        assert (again.status, again.artifact, again.points) == (last.status, last.artifact, ())

    async def test_cancelling_stops_it_and_cancelling_twice_is_harmless(self, subject: Subject) -> None:
        theirs = await subject.submitted(subject.unending)
        assert (await self._cancelled(subject, theirs)).status is JobStatus.CANCELLED
        await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
        assert (await subject.poll(theirs)).status is JobStatus.CANCELLED

    async def test_cancelling_what_has_ended_changes_nothing(self, subject: Subject) -> None:
        theirs = await subject.submitted()
        last = (await subject.ended(theirs))[-1]
        await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
        again = await subject.poll(theirs, last.cursor)
        assert (again.status, again.artifact) == (JobStatus.SUCCEEDED, last.artifact)

    async def test_a_pause_is_obeyed_or_refused(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        theirs = await subject.submitted(subject.unending)
        if (await provider.capabilities()).features.pause:
            assert (await self._paused(subject, theirs)).status is JobStatus.PAUSED
        else:
            with pytest.raises(Unsupported):
                await provider.pause(theirs, job_id=subject.job_id, attempt=1)

    async def test_what_is_held_goes_on_as_the_same_job_and_what_is_not_cannot(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        theirs = await subject.submitted(subject.unending)
        if not subject.holds:
            with pytest.raises(Unsupported):
                await provider.proceed(theirs, job_id=subject.job_id, attempt=1)
            return
        if (await provider.capabilities()).features.pause:
            assert (await self._paused(subject, theirs)).held
        for _ in range(2):
            await subject.new_daemon().proceed(theirs, job_id=subject.job_id, attempt=1)
        assert (await subject.poll(theirs)).status is not JobStatus.PAUSED
        assert subject.jobs() in (None, 1)

    async def test_a_layer_is_published_whole_and_once(self, subject: Subject) -> None:
        artifact = await subject.artifact()
        request = LayerRequest(
            layer_id="layer-1", destination=str(subject.layers_dir / "layer-1"), lineage={"jobId": subject.job_id}
        )
        first, again = [
            await subject.new_daemon().publish(request, artifact=artifact, job_id=subject.job_id, attempt=1)
            for _ in range(2)
        ]
        assert first == again
        await to_thread.run_sync(assert_published, subject, first)

    async def test_what_was_simulated_says_so_everywhere(self, subject: Subject) -> None:
        simulated = (await subject.new_daemon().capabilities()).simulated
        assert ((await subject.artifact()).format == "simulated") == simulated

    async def test_jobs_do_not_disturb_each_other(self, subject: Subject) -> None:
        """One adapter, asked by everybody at once: submissions and polls of one job come out as if it were alone."""
        provider, theirs = subject.new_daemon(), await subject.submitted()
        seen: list[Snapshot] = []

        async def watch() -> None:
            while not (seen and is_over(seen[-1])):
                seen.append(await provider.poll(theirs, job_id=subject.job_id, attempt=1, cursor=""))
                if seen[-1].phase == "awaiting_start":
                    await provider.proceed(theirs, job_id=subject.job_id, attempt=1)
                await anyio.sleep(BETWEEN_LOOKS_S)

        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(watch)
                    tasks.start_soon(provider.capabilities)
        assert seen[-1].status is JobStatus.SUCCEEDED

    async def test_nothing_holds_up_the_daemon(self, subject: Subject) -> None:
        submission = await subject.submission()
        with blockbuster_ctx(subject.package):
            provider = subject.new_daemon()
            await provider.capabilities()
            await provider.check(subject.configuration, subject.dataset, asked=())
            outcome = await provider.submit(submission)
            assert isinstance(outcome, Accepted)
            await subject.found()
            await subject.ended(outcome.provider_job_id)
            await provider.cancel(outcome.provider_job_id, job_id=subject.job_id, attempt=1)

    async def _cancelled(self, subject: Subject, theirs: str) -> Snapshot:
        """Asked again and again, as the core does, twice before the first look."""
        with anyio.fail_after(LIMIT_S):
            await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
            while True:
                await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
                if is_over(snapshot := await subject.poll(theirs)):
                    return snapshot
                await anyio.sleep(BETWEEN_LOOKS_S)

    async def _paused(self, subject: Subject, theirs: str) -> Snapshot:
        with anyio.fail_after(LIMIT_S):
            while True:
                await subject.new_daemon().pause(theirs, job_id=subject.job_id, attempt=1)
                if is_over(snapshot := await subject.poll(theirs)):
                    return snapshot
                await anyio.sleep(BETWEEN_LOOKS_S)


def assert_published(subject: Subject, layer: PublishedLayer) -> None:
    assert [path.name for path in subject.layers_dir.iterdir()] == ["layer-1"]
    manifest = json.loads((Path(layer.path) / "genomed-layer.json").read_bytes())
    assert manifest["layerId"] == "layer-1"
    assert manifest["lineage"] == {"jobId": subject.job_id}
    assert all((Path(layer.path) / name).is_file() for name in manifest["files"])
    assert unhushed(subject, manifest, layer) == []
