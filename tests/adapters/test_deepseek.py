"""DeepSeek trains for nobody: it says so before anything is uploaded, and names where its models can be trained."""

from pathlib import Path

import pytest
from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import DATASET, configuration

from genomed.adapters import deepseek
from genomed.adapters.deepseek import DeepSeek
from genomed.entities.configuration import CONFIGURATION_FIELDS
from genomed.entities.errors import ErrorKind, InvalidRequest, Unsupported
from genomed.entities.facts import Artifact
from genomed.entities.ids import submission_key
from genomed.entities.ports import Absent, LayerRequest, ProviderContext, Rejected, Submission

JOB = "job-00000000000000000000000001"


def made(root: Path, settings: dict[str, object] | None = None) -> DeepSeek:
    return deepseek.provider(
        ProviderContext(
            jobs_dir=str(root / "jobs"),
            layers_dir=str(root / "layers"),
            settings=settings or {},
            now_us=lambda: 0,
            secrets=PlainSecrets({}),
        )
    )


async def test_it_is_not_available_and_says_where_its_models_can_be_trained(tmp_path: Path) -> None:
    told = await made(tmp_path).capabilities()
    assert not told.available
    assert "no fine-tuning API" in (told.reason or "")
    for elsewhere in ("fireworks", "together", "local", "deepseek-ai/"):
        assert elsewhere in (told.reason or "")


async def test_every_configuration_is_refused_before_any_upload_with_the_remedy(tmp_path: Path) -> None:
    provider = made(tmp_path)
    checked = await provider.check(configuration("deepseek-chat"), DATASET, asked=())
    assert checked.kind is ErrorKind.UNSUPPORTED
    assert [problem.field for problem in checked.errors] == ["provider"]
    assert "fireworks or together" in (checked.errors[0].remedy or "")
    assert provider.uploads is None


async def test_whatever_comes_through_anyhow_is_refused_for_good(tmp_path: Path) -> None:
    """Continuum called an API that does not exist, and waited an hour for it."""
    provider = made(tmp_path)
    wish = configuration("deepseek-chat")
    submission = Submission(
        job_id=JOB,
        attempt=1,
        key=submission_key(JOB, 1),
        configuration=wish,
        payload=provider.translate(wish, DATASET, asked=()).payload,
        row_kind=DATASET.row_kind,
        train_path="t",
        eval_path=None,
        rows=4,
        eval_rows=0,
        dataset_sha256="00" * 32,
    )
    assert await provider.quote(submission) is None
    outcome = await provider.submit(submission)
    assert isinstance(outcome, Rejected)
    assert (outcome.error.kind, outcome.error.retryable) == (ErrorKind.UNSUPPORTED, False)
    assert await provider.find(submission.key, job_id=JOB, intended_us=0) == Absent()


async def test_there_is_no_job_to_be_asked_about(tmp_path: Path) -> None:
    provider = made(tmp_path)
    layer = LayerRequest(layer_id="ly", destination=str(tmp_path / "ly"), lineage={})
    for asked in (
        provider.poll("x", job_id=JOB, attempt=1, cursor=""),
        provider.cancel("x", job_id=JOB, attempt=1),
        provider.pause("x", job_id=JOB, attempt=1),
        provider.proceed("x", job_id=JOB, attempt=1),
        provider.publish(layer, artifact=Artifact(format="hosted", location="x"), job_id=JOB, attempt=1),
    ):
        with pytest.raises(Unsupported, match="no fine-tuning API"):
            await asked


def test_every_field_says_that_nothing_is_sent(tmp_path: Path) -> None:
    wish = configuration("deepseek-chat", metadata={"colour": "red"})
    told = made(tmp_path).translate(wish, DATASET, asked=("schedule.epochs",))
    assert {field.field for field in told.fields} == {*CONFIGURATION_FIELDS, "metadata.colour"}
    assert all(field.sent is None for field in told.fields)
    assert (told.payload, told.uploads) == ({}, ())


def test_it_has_no_settings(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="there are none"):
        made(tmp_path, {"api_key": "env:DEEPSEEK_API_KEY"})
