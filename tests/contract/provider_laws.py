"""What every provider owes us, ours and third parties'.

Subclass ProviderLaws, name the class Test..., and give it a `subject` fixture: a Subject for your adapter. Every law
then runs over it. `new_daemon` must give a fresh adapter on the same state, as after a restart.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import msgspec
import pytest

from genomed.entities.capabilities import ParameterType
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import Unsupported
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Absent,
    Accepted,
    Found,
    LayerRequest,
    Provider,
    Snapshot,
    Submission,
    Unsearchable,
)
from genomed.entities.types import TERMINAL, JobStatus

LIMIT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """endless: a configuration whose run goes on until it is told to stop. wrong: one with these fields refused."""

    new_daemon: Callable[[], Provider]
    configuration: JobConfiguration
    endless: JobConfiguration
    wrong: JobConfiguration
    wrong_fields: frozenset[str]
    dataset: DatasetFacts
    layers_dir: Path
    files: Path
    job_id: str = field(default="job-00000000000000000000000042")

    def submission(self, configuration: JobConfiguration | None = None, *, attempt: int = 1) -> Submission:
        chosen = configuration or self.configuration
        return Submission(
            job_id=self.job_id,
            attempt=attempt,
            key=submission_key(self.job_id, attempt),
            configuration=chosen,
            payload=self.new_daemon().translate(chosen, self.dataset, asked=()).payload,
            row_kind=self.dataset.row_kind,
            train_path=str(self.files / "train.jsonl"),
            eval_path=str(self.files / "eval.jsonl"),
            rows=self.dataset.rows,
            eval_rows=self.dataset.eval_rows,
            dataset_sha256="00" * 32,
        )

    async def submitted(self, configuration: JobConfiguration | None = None) -> str:
        outcome = await self.new_daemon().submit(self.submission(configuration))
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_job_id

    async def poll(self, theirs: str, cursor: str = "") -> Snapshot:
        return await self.new_daemon().poll(theirs, job_id=self.job_id, attempt=1, cursor=cursor)

    async def ended(self, theirs: str) -> list[Snapshot]:
        """Every snapshot up to the first with a final status, each polled by a new daemon with the stored cursor."""
        seen: list[Snapshot] = []
        with anyio.fail_after(LIMIT_S):
            while not seen or seen[-1].status not in TERMINAL | {JobStatus.PAUSED}:
                seen.append(await self.poll(theirs, seen[-1].cursor if seen else ""))
                await anyio.sleep(0.01)
        return seen


class ProviderLaws:
    async def test_capabilities_say_who_and_why_not(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        capabilities = await provider.capabilities()
        assert capabilities.provider == provider.name
        assert capabilities.available == (capabilities.reason is None)
        assert capabilities.supported_methods
        assert capabilities.supported_row_kinds

    async def test_custom_parameters_are_described_and_their_defaults_lie_in_their_ranges(
        self, subject: Subject
    ) -> None:
        for name, definition in (await subject.new_daemon().capabilities()).custom_parameters.items():
            assert definition.description, name
            if definition.type is ParameterType.NUMBER and isinstance(definition.default, int | float):
                assert definition.min is None or definition.min <= definition.default, name
                assert definition.max is None or definition.default <= definition.max, name
            if definition.type is ParameterType.ENUM:
                assert definition.default in {None, *definition.enum_values}, name

    async def test_a_sound_configuration_is_not_refused(self, subject: Subject) -> None:
        assert (await subject.new_daemon().check(subject.configuration, subject.dataset)).errors == ()

    async def test_every_problem_is_told_at_once_with_its_field(self, subject: Subject) -> None:
        result = await subject.new_daemon().check(subject.wrong, subject.dataset)
        assert subject.wrong_fields <= {problem.field for problem in result.errors}
        assert all(problem.message for problem in result.errors)

    async def test_a_check_changes_nothing(self, subject: Subject) -> None:
        first = await subject.new_daemon().check(subject.wrong, subject.dataset)
        assert await subject.new_daemon().check(subject.wrong, subject.dataset) == first

    @pytest.mark.parametrize("asked", [(), CONFIGURATION_FIELDS, ("schedule.epochs", "optimizer.learningRate")])
    def test_every_field_is_accounted_for_exactly_once(self, subject: Subject, asked: tuple[str, ...]) -> None:
        made = subject.new_daemon().translate(subject.configuration, subject.dataset, asked=asked)
        told = [field.field for field in made.fields]
        assert len(told) == len(set(told))
        assert {*CONFIGURATION_FIELDS, *(f"metadata.{name}" for name in subject.configuration.metadata)} <= {*told}
        assert {field.disposition for field in made.fields} <= {"sent", "defaulted", "adjusted", "not_applicable"}
        for entry in made.fields:
            wished = entry.field in asked or entry.field.removeprefix("metadata.") in subject.configuration.metadata
            assert wished or entry.asked is None, entry
            assert entry.disposition != "adjusted" or entry.note, entry
            assert entry.disposition != "sent" or entry.asked == entry.sent, entry

    def test_translation_is_a_function_of_what_it_is_given(self, subject: Subject) -> None:
        one, other = (
            subject.new_daemon().translate(subject.configuration, subject.dataset, asked=()) for _ in range(2)
        )
        assert one == other
        assert json.loads(msgspec.json.encode(one.payload)) == json.loads(msgspec.json.encode(other.payload))

    async def test_one_key_starts_one_job(self, subject: Subject) -> None:
        first = await subject.submitted(subject.endless)
        again = await subject.new_daemon().submit(subject.submission(subject.endless))
        assert isinstance(again, Accepted)
        assert again.provider_job_id == first

    async def test_a_submitted_key_is_found_after_a_restart(self, subject: Subject) -> None:
        theirs = await subject.submitted(subject.endless)
        looked_up = await subject.new_daemon().find(submission_key(subject.job_id, 1), job_id=subject.job_id)
        assert looked_up in (Found(provider_job_id=theirs), Unsearchable())

    async def test_a_key_nobody_submitted_is_never_found(self, subject: Subject) -> None:
        looked_up = await subject.new_daemon().find(submission_key("job-nobody", 1), job_id="job-nobody")
        assert looked_up in (Absent(), Unsearchable())

    async def test_a_run_ends_with_an_artifact_through_any_number_of_restarts(self, subject: Subject) -> None:
        seen = await subject.ended(await subject.submitted())
        assert seen[-1].status is JobStatus.SUCCEEDED
        assert seen[-1].artifact is not None
        assert all(snapshot.provider_status for snapshot in seen)

    async def test_each_point_is_told_once_along_the_cursors(self, subject: Subject) -> None:
        seen = await subject.ended(await subject.submitted())
        told = [(point.name, point.step) for snapshot in seen for point in snapshot.points]
        assert told
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
        theirs = await subject.submitted(subject.endless)
        for _ in range(2):
            await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
        assert (await subject.ended(theirs))[-1].status is JobStatus.CANCELLED
        await subject.new_daemon().cancel(theirs, job_id=subject.job_id, attempt=1)
        assert (await subject.poll(theirs)).status is JobStatus.CANCELLED

    async def test_a_pause_is_obeyed_or_refused(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        theirs = await subject.submitted(subject.endless)
        if (await provider.capabilities()).features.pause:
            await provider.pause(theirs, job_id=subject.job_id, attempt=1)
            assert (await subject.ended(theirs))[-1].status is JobStatus.PAUSED
        else:
            with pytest.raises(Unsupported):
                await provider.pause(theirs, job_id=subject.job_id, attempt=1)

    async def test_a_layer_is_published_whole_and_once(self, subject: Subject) -> None:
        artifact = (await subject.ended(await subject.submitted()))[-1].artifact
        assert artifact is not None
        request = LayerRequest(
            layer_id="layer-1", destination=str(subject.layers_dir / "layer-1"), lineage={"jobId": subject.job_id}
        )
        first, again = [
            await subject.new_daemon().publish(request, artifact=artifact, job_id=subject.job_id, attempt=1)
            for _ in range(2)
        ]
        assert first == again
        assert [path.name for path in subject.layers_dir.iterdir()] == ["layer-1"]
        manifest = json.loads((Path(first.path) / "genomed-layer.json").read_bytes())
        assert manifest["layerId"] == "layer-1"
        assert manifest["lineage"] == {"jobId": subject.job_id}
        assert all((Path(first.path) / name).is_file() for name in manifest["files"])

    async def test_what_was_simulated_says_so_everywhere(self, subject: Subject) -> None:
        artifact = (await subject.ended(await subject.submitted()))[-1].artifact
        assert artifact is not None
        simulated = (await subject.new_daemon().capabilities()).simulated
        assert (artifact.format == "simulated") == simulated

    async def test_nothing_holds_up_the_daemon(self, subject: Subject, no_blocking: None) -> None:
        provider = subject.new_daemon()
        await provider.capabilities()
        await provider.check(subject.configuration, subject.dataset)
        outcome = await provider.submit(subject.submission())
        assert isinstance(outcome, Accepted)
        await provider.find(submission_key(subject.job_id, 1), job_id=subject.job_id)
        await subject.ended(outcome.provider_job_id)
        await provider.cancel(outcome.provider_job_id, job_id=subject.job_id, attempt=1)
