"""A deployment: intent before effect, adopted before asked for again, ended by itself when its hours are over."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.deployment import (
    HOUR_US,
    OPEN_STATES,
    Deploy,
    Deployment,
    EndItsTime,
    EndUnsent,
    Find,
    Look,
    Rest,
    Undeploy,
    ended,
    evolve,
    next_step,
    settlement,
)
from genomed.entities.deployment_events import (
    DeploymentAccepted,
    DeploymentDeferred,
    DeploymentEnded,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentIntended,
    DeploymentNotFound,
    DeploymentReady,
    DeploymentRequested,
    DeploymentTroubled,
    DeploymentUnknown,
    UndeployRequested,
)
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.facts import Artifact, Estimate
from genomed.entities.ids import submission_key
from genomed.entities.spend import Ledger
from genomed.entities.spend import evolve as evolve_ledger
from genomed.entities.spend_events import SpendReleased, SpendReserved, SpendSettled

ID = "dep-1"
KEY = submission_key(ID, 1)
ERROR = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message="no", retryable=False)


def requested(*, usd: float | None = 2.0, hours: float = 3.0) -> DeploymentRequested:
    return DeploymentRequested(
        layer_id="ly-1",
        provider="there",
        artifact=Artifact(format="hosted", location="their-model"),
        base_model="base",
        accelerators=1,
        hours=hours,
        hourly=Estimate(usd=usd, basis="a table", source="price_table"),
        reason="asked",
        ledger="spend/2026-11",
    )


def fold(*events: DeploymentEvent, each_us: int = 1) -> Deployment:
    deployment: Deployment | None = None
    for n, event in enumerate((requested(), *events)):
        deployment = evolve(deployment, event, at_us=n * each_us)
    assert deployment is not None
    return deployment


INTENDED = DeploymentIntended(key=KEY)
ACCEPTED = DeploymentAccepted(provider_id="theirs")
READY = DeploymentReady(model="their-model#theirs")
UNDEPLOY = UndeployRequested(reason="enough")


@pytest.mark.parametrize(
    ("events", "step"),
    [
        ((), Deploy(KEY)),
        ((INTENDED,), Find(KEY)),
        ((INTENDED, DeploymentUnknown(reason="lost", searchable=True)), Find(KEY)),
        ((INTENDED, DeploymentUnknown(reason="lost", searchable=False)), Rest()),
        ((INTENDED, DeploymentNotFound()), Deploy(KEY)),
        ((INTENDED, DeploymentDeferred(reason="busy", not_before_us=99)), Rest(99)),
        ((INTENDED, ACCEPTED), Look("theirs", soon=True)),
        ((INTENDED, ACCEPTED, READY), Look("theirs", soon=False)),
        ((INTENDED, ACCEPTED, UNDEPLOY), Undeploy("theirs")),
        ((INTENDED, ACCEPTED, READY, UNDEPLOY), Undeploy("theirs")),
        ((INTENDED, ACCEPTED, DeploymentFailed(error=ERROR)), Undeploy("theirs")),
        ((INTENDED, DeploymentFailed(error=ERROR)), Rest()),
        ((INTENDED, UNDEPLOY), Find(KEY)),
        ((UNDEPLOY,), EndUnsent()),
        ((INTENDED, ACCEPTED, DeploymentEnded(reason="gone", hours=1)), Rest()),
    ],
)
def test_the_next_step_follows_from_what_is_known(events: tuple[DeploymentEvent, ...], step: object) -> None:
    assert next_step(ID, fold(*events), now_us=10) == step


def test_its_time_runs_from_the_intention_and_then_its_end_is_asked_for() -> None:
    running = fold(INTENDED, ACCEPTED, READY, each_us=HOUR_US)
    assert running.due_us == 4 * HOUR_US
    assert next_step(ID, running, now_us=4 * HOUR_US - 1) == Look("theirs", soon=False)
    assert next_step(ID, running, now_us=4 * HOUR_US) == EndItsTime()


def test_what_was_never_taken_costs_nothing_and_what_ran_costs_its_time() -> None:
    assert ended(fold(INTENDED, DeploymentNotFound()), reason="r", now_us=HOUR_US).usd == 0
    ran = ended(fold(INTENDED, ACCEPTED), reason="r", now_us=HOUR_US // 2 + 1)
    assert (ran.hours, ran.usd) == (0.5, 1.0)
    unpriced = evolve(None, requested(usd=None), at_us=0)
    after = evolve(unpriced, INTENDED, at_us=0)
    assert ended(after, reason="r", now_us=HOUR_US).usd is None


def test_a_deployment_that_failed_at_the_provider_is_open_until_it_is_taken_down() -> None:
    failed = fold(INTENDED, ACCEPTED, DeploymentFailed(error=ERROR))
    assert (failed.terminal, failed.ending) == (False, "no")
    down = evolve(failed, DeploymentEnded(reason="no", hours=1), at_us=9)
    assert (down.state, down.terminal) == ("failed", True)


def test_a_stream_that_opens_with_anything_else_is_no_deployment() -> None:
    with pytest.raises(ValueError, match=r"deployment\.requested"):
        evolve(None, ACCEPTED, at_us=0)


def ledger() -> Ledger:
    held = SpendReserved(
        job_id=ID, attempt_of="deploy", first_attempt=1, persona_id="ada", provider="there", usd=6.0, basis="b", day="d"
    )
    return evolve_ledger(None, held, at_us=0)


def test_its_reservation_ends_once_with_what_it_cost_or_with_nothing() -> None:
    settled = SpendSettled(job_id=ID, first_attempt=1, usd=1.0, basis="hours")
    assert settlement(ledger(), ID, DeploymentEnded(reason="r", hours=0.5, usd=1.0)) == settled
    assert settlement(evolve_ledger(ledger(), settled, at_us=1), ID, DeploymentEnded(reason="r", hours=1)) is None
    assert isinstance(settlement(ledger(), ID, DeploymentFailed(error=ERROR)), SpendReleased)
    assert isinstance(settlement(ledger(), ID, DeploymentEnded(reason="r", hours=0.0, usd=0.0)), SpendReleased)
    assert settlement(None, ID, DeploymentFailed(error=ERROR)) is None


FOLLOWERS: dict[type, DeploymentEvent] = {
    DeploymentIntended: INTENDED,
    DeploymentUnknown: DeploymentUnknown(reason="lost", searchable=True),
    DeploymentNotFound: DeploymentNotFound(),
    DeploymentDeferred: DeploymentDeferred(reason="busy", not_before_us=5),
    DeploymentAccepted: ACCEPTED,
    DeploymentReady: READY,
    DeploymentTroubled: DeploymentTroubled(kind=ErrorKind.FORBIDDEN, message="no"),
    DeploymentFailed: DeploymentFailed(error=ERROR),
    UndeployRequested: UNDEPLOY,
    DeploymentEnded: DeploymentEnded(reason="gone", hours=1),
}
assert set(FOLLOWERS) == set(get_args(DeploymentEvent)) - {DeploymentRequested}


@given(st.lists(st.sampled_from(list(FOLLOWERS.values())), max_size=12))
def test_any_order_of_events_folds_and_what_has_ended_stays_as_it_is(events: list[DeploymentEvent]) -> None:
    deployment = fold()
    for n, event in enumerate(events):
        before = deployment
        deployment = evolve(before, event, at_us=n)
        assert deployment.terminal == (deployment.state not in OPEN_STATES)
        if before.terminal:
            assert deployment == before
    assert next_step(ID, deployment, now_us=3) is not None
