"""Results that are made to answer: deployed once per key, ready or failed in so many words, and gone when asked for."""

import anyio
import pytest

from genomed.conformance.honesty_laws import assert_sound
from genomed.conformance.laws import Laws, unhushed
from genomed.conformance.subject import BETWEEN_LOOKS_S, LIMIT_S, Subject
from genomed.entities.errors import Unsupported
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Absent,
    Accepted,
    DeploymentRequest,
    DeploymentState,
    Found,
    Rejected,
    Serving,
    Unsearchable,
)
from genomed.entities.rows import Message

ASKED = (Message(role="system", content="Be short."), Message(role="user", content="Say something."))


class ServingLaws(Laws):
    async def test_an_hour_of_serving_has_a_price_or_none(self, subject: Subject) -> None:
        request = await wish(subject)
        assert_sound(await serving(subject).hourly_usd(request))

    async def test_one_key_makes_one_deployment_which_is_found_after_a_restart(self, subject: Subject) -> None:
        request, theirs = await deployed(subject)
        again = await serving(subject).deploy(request)
        assert isinstance(again, Accepted)
        assert again.provider_job_id == theirs
        assert await serving(subject).find(request.key) in (Found(provider_job_id=theirs), Unsearchable())

    async def test_a_deployment_that_nobody_made_is_never_found(self, subject: Subject) -> None:
        assert await serving(subject).find(submission_key("deployment-nobody", 1)) in (Absent(), Unsearchable())

    async def test_what_is_served_answers(self, subject: Subject) -> None:
        """Where there is nothing to deploy, it answers at once."""
        request = await wish(subject)
        outcome = await serving(subject).deploy(request)
        assert isinstance(outcome, Accepted | Rejected), outcome
        theirs = outcome.provider_job_id if isinstance(outcome, Accepted) else request.key
        state = await reached(subject, theirs, request, "ready")
        assert state.model
        answer = await serving(subject).answer(state.model, ASKED, max_tokens=16)
        assert answer.text
        assert answer.seconds >= 0
        assert all(count is None or count >= 0 for count in (answer.prompt_tokens, answer.completion_tokens))
        assert unhushed(subject, outcome, state, answer) == []

    async def test_what_is_no_longer_wanted_goes_and_asking_twice_is_harmless(self, subject: Subject) -> None:
        request, theirs = await deployed(subject)
        for _ in range(2):
            await serving(subject).undeploy(theirs, request=request)
        await reached(subject, theirs, request, "gone")
        await serving(subject).undeploy(theirs, request=request)
        assert await serving(subject).find(request.key) in (Absent(), Found(provider_job_id=theirs), Unsearchable())

    async def test_a_result_is_deleted_and_deleting_it_twice_is_harmless(self, subject: Subject) -> None:
        model = (await wish(subject)).artifact.location
        try:
            await serving(subject).remove(model)
        except Unsupported as refused:
            pytest.skip(f"nothing is deleted there: {refused.message}")
        await serving(subject).remove(model)


def serving(subject: Subject) -> Serving:
    """Skips the test where results are not served there."""
    offered = subject.new_daemon().serving
    if offered is None:
        pytest.skip("this provider serves nothing")
    return offered


async def wish(subject: Subject) -> DeploymentRequest:
    serving(subject)
    return DeploymentRequest(
        key=submission_key("deployment-1", 1),
        layer_id="layer-1",
        artifact=await subject.artifact(),
        base_model=subject.configuration.model.base_model,
        accelerator=subject.accelerator,
    )


async def deployed(subject: Subject) -> tuple[DeploymentRequest, str]:
    request = await wish(subject)
    outcome = await serving(subject).deploy(request)
    if isinstance(outcome, Rejected):
        assert not outcome.error.retryable
        pytest.skip(f"nothing is deployed there: {outcome.error.message}")
    assert isinstance(outcome, Accepted), outcome
    return request, outcome.provider_job_id


async def reached(subject: Subject, theirs: str, request: DeploymentRequest, phase: str) -> DeploymentState:
    with anyio.fail_after(LIMIT_S):
        while (state := await serving(subject).state(theirs, request=request)).phase != phase:
            assert state.phase in {"creating", "ready", "unknown"}, state
            assert state.provider_status
            await anyio.sleep(BETWEEN_LOOKS_S)
    return state
