"""The ledger: sums follow from events alone, and what was admitted never passes a cap, whoever asks at once."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.entities.lives import CREATED, ERROR

from genomed.entities.budget import OVERALL, Budget, Caps, Scope, caps_of, micros_of, scopes_of, usd_of
from genomed.entities.errors import BudgetExceeded, ErrorBody, ErrorKind
from genomed.entities.events import (
    JobCancelled,
    JobEvent,
    JobFailed,
    JobSubmitted,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
    SubmissionIntended,
    SubmissionNotFound,
    SubmissionUnknown,
)
from genomed.entities.facts import Estimate
from genomed.entities.job import Job
from genomed.entities.job import evolve as evolve_job
from genomed.entities.provision_events import CostReported
from genomed.entities.spend import Ledger, day_of, evolve, ledger_stream
from genomed.entities.spend_decisions import adjusted, closing, dollars, objections, reserve
from genomed.entities.spend_events import LedgerEvent, SpendAdjusted, SpendReleased, SpendReserved, SpendSettled

DAYS = ("2026-11-20", "2026-11-21")
SENT = (
    SubmissionIntended(attempt=1, submission_key="gn-1", payload_sha256="0" * 64),
    JobSubmitted(attempt=1, provider_job_id="theirs"),
)


def asked(job_id: str = "job-1", usd: float | None = 1.0, **more: object) -> SpendReserved:
    plain = SpendReserved(
        job_id=job_id,
        attempt_of="create",
        first_attempt=1,
        persona_id="ada",
        provider="openai",
        usd=usd,
        basis="a price table",
        day=DAYS[0],
    )
    return replace(plain, **more)


def folded(events: Sequence[LedgerEvent], ledger: Ledger | None = None) -> Ledger:
    for event in events:
        ledger = evolve(ledger, event, at_us=1)
    return ledger or Ledger()


def job_after(*events: JobEvent) -> Job:
    job = evolve_job(None, replace(CREATED, provider="openai", ledger="spend/2026-11"), at_us=1)
    for event in events:
        job = evolve_job(job, event, at_us=2)
    return job


AMOUNTS = st.integers(0, 5_000_000).map(usd_of)
NAMES = st.sampled_from(("ada", "bob"))
PROVIDERS = st.sampled_from(("openai", "together"))
CAPS = st.builds(
    Caps,
    job_usd=st.none() | AMOUNTS,
    day_usd=st.none() | AMOUNTS,
    month_usd=st.none() | AMOUNTS,
)
BUDGETS = st.builds(
    Budget,
    overall=CAPS,
    personas=st.dictionaries(NAMES, CAPS),
    providers=st.dictionaries(PROVIDERS, CAPS),
    allow_unknown=st.booleans(),
)


@st.composite
def wishes(draw: st.DrawFn) -> list[SpendReserved]:
    count = draw(st.integers(1, 12))
    return [
        asked(
            f"job-{n}",
            draw(st.none() | AMOUNTS),
            persona_id=draw(NAMES),
            provider=draw(PROVIDERS),
            day=draw(st.sampled_from(DAYS)),
        )
        for n in range(count)
    ]


def overspent(ledger: Ledger, budget: Budget) -> list[str]:
    """Every cap of a day or a month that the ledger has passed."""
    found = []
    for scope in [OVERALL, *(Scope(kind="persona", name=name) for name in budget.personas)] + [
        Scope(kind="provider", name=name) for name in budget.providers
    ]:
        caps = caps_of(budget, scope)
        month = micros_of(caps.month_usd)
        if month is not None and ledger.settled(scope) + ledger.reserved(scope) > month:
            found.append(f"{scope.words} in the month")
        most = micros_of(caps.day_usd)
        found += [
            f"{scope.words} on {day}"
            for day in DAYS
            if most is not None and ledger.settled(scope, day=day) + ledger.reserved(scope, day=day) > most
        ]
    return found


@given(BUDGETS, wishes(), st.data())
def test_what_is_reserved_and_settled_never_passes_a_cap_whatever_the_order_of_those_who_decide_at_once(
    budget: Budget, waiting: list[SpendReserved], data: st.DataObject
) -> None:
    """Everybody may have read the ledger at any moment before; the journal makes who was overtaken read it again."""
    history: list[Ledger] = [Ledger()]
    while waiting:
        wish = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        read_at = data.draw(st.integers(0, len(history) - 1))
        try:
            event: LedgerEvent = reserve(history[read_at], budget, wish)
            if read_at < len(history) - 1:
                event = reserve(history[-1], budget, wish)
        except BudgetExceeded:
            continue
        history.append(evolve(history[-1], event, at_us=1))
        assert overspent(history[-1], budget) == []
        if data.draw(st.booleans()):
            held = history[-1].open[wish.job_id]
            cost = data.draw(st.none() | st.integers(0, held.micros or 0).map(usd_of))
            end = released(wish.job_id) if cost is None else settled(wish.job_id, cost)
            history.append(evolve(history[-1], end, at_us=2))
            assert overspent(history[-1], budget) == []


@given(BUDGETS, wishes(), st.data())
def test_a_quote_is_let_in_only_where_every_cap_still_holds_with_it(
    budget: Budget, wished: list[SpendReserved], data: st.DataObject
) -> None:
    ledger = Ledger()
    for wish in wished:
        if not objections(ledger, budget, wish):
            ledger = evolve(ledger, wish, at_us=1)
    for job_id in list(ledger.open):
        quote = Estimate(usd=data.draw(st.none() | AMOUNTS), basis="its own", source="provider")
        try:
            event = adjusted(ledger, budget, job_id, quote)
        except BudgetExceeded:
            continue
        ledger = ledger if event is None else evolve(ledger, event, at_us=2)
        assert overspent(ledger, budget) == []
        assert adjusted(ledger, budget, job_id, quote) is None, "the same quote again changes nothing"


def settled(job_id: str, usd: float | None, basis: str = "reported") -> SpendSettled:
    return SpendSettled(job_id=job_id, first_attempt=1, usd=usd, basis=basis)


def released(job_id: str) -> SpendReleased:
    return SpendReleased(job_id=job_id, first_attempt=1, reason="nothing was sent")


def life_of(wish: SpendReserved, end: int, cost: float) -> list[LedgerEvent]:
    quoted = SpendAdjusted(job_id=wish.job_id, first_attempt=1, usd=cost, basis="its own")
    ends: list[list[LedgerEvent]] = [
        [],
        [settled(wish.job_id, cost)],
        [released(wish.job_id)],
        [quoted, settled(wish.job_id, None, "none")],
        [quoted],
    ]
    return [wish, *ends[end]]


@given(wishes(), st.data())
def test_the_order_in_which_different_jobs_events_come_makes_no_difference(
    wished: list[SpendReserved], data: st.DataObject
) -> None:
    lives = [life_of(wish, data.draw(st.integers(0, 4)), data.draw(AMOUNTS)) for wish in wished]
    one_by_one = folded([event for life in lives for event in life])
    mixed: list[LedgerEvent] = []
    left = [list(life) for life in lives]
    while any(left):
        chosen = data.draw(st.sampled_from([n for n, life in enumerate(left) if life]))
        mixed.append(left[chosen].pop(0))
    assert folded(mixed) == one_by_one


@given(wishes(), st.data())
def test_an_end_told_twice_or_for_a_job_that_holds_nothing_changes_nothing(
    wished: list[SpendReserved], data: st.DataObject
) -> None:
    lives = [life_of(wish, data.draw(st.integers(1, 3)), 2.0) for wish in wished]
    once = folded([event for life in lives for event in life])
    assert once.open == {}
    again = [event for life in lives for event in life[1:]]
    assert folded(again, once) == once


@given(wishes(), st.data())
def test_the_sums_are_those_of_a_plain_count(wished: list[SpendReserved], data: st.DataObject) -> None:
    costs = {wish.job_id: data.draw(st.none() | AMOUNTS) for wish in wished}
    events: list[LedgerEvent] = list(wished)
    events += [settled(job_id, cost) for job_id, cost in costs.items() if cost is not None]
    ledger = folded(events)
    for scope in scopes_of("ada", "together"):
        for day in (None, *DAYS):
            mine = [
                wish
                for wish in wished
                if scope in scopes_of(wish.persona_id, wish.provider) and day in (None, wish.day)
            ]
            ended = sum(micros_of(costs[wish.job_id]) or 0 for wish in mine)
            held = sum(micros_of(wish.usd) or 0 for wish in mine if costs[wish.job_id] is None)
            assert (ledger.settled(scope, day=day), ledger.reserved(scope, day=day)) == (ended, held)


def test_a_ledger_reads_back_as_it_was() -> None:
    ledger = folded([asked("a"), asked("b"), settled("a", 0.1)])
    assert msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger) == ledger


def test_a_refusal_names_the_cap_its_scope_what_is_taken_what_was_asked_and_what_is_left() -> None:
    ledger = folded([asked("a", 3), asked("b", 1.5), settled("a", 3)])
    budget = Budget(personas={"ada": Caps(day_usd=5, job_usd=0.5)}, providers={"openai": Caps(month_usd=5)})
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, budget, asked("c", 1))
    assert [problem.field for problem in refused.value.details] == [
        "budget.personas.ada.jobUsd",
        "budget.personas.ada.dayUsd",
        "budget.providers.openai.monthUsd",
    ]
    assert refused.value.details[1].message == (
        "the cap of a day for persona ada is $5.00: $3.00 spent and $1.50 reserved, so that $0.50 is left;"
        " this job is for $1.00"
    )
    body = refused.value.body()
    assert (body.kind, body.field, body.provider, body.retryable) == (
        "budget_exceeded",
        "budget.personas.ada.jobUsd",
        "openai",
        False,
    )


def test_caps_of_others_do_not_apply() -> None:
    budget = Budget(personas={"bob": Caps(day_usd=0)}, providers={"together": Caps(day_usd=0)})
    assert reserve(None, budget, asked()) == asked()


def test_what_costs_exactly_what_is_left_is_admitted_and_a_millionth_more_is_not() -> None:
    budget = Budget(overall=Caps(day_usd=0.3))
    ledger = folded([asked("a", 0.1)])
    assert objections(ledger, budget, asked("b", 0.2)) == []
    assert objections(ledger, budget, asked("b", 0.200001)) != []


def test_a_price_that_nobody_knows_is_refused_under_a_cap_unless_that_is_allowed_and_anything_is_left() -> None:
    capped = Budget(providers={"openai": Caps(month_usd=1)})
    with pytest.raises(BudgetExceeded) as refused:
        reserve(None, capped, asked(usd=None))
    assert refused.value.remedy is not None
    assert "[providers.openai]" in refused.value.remedy
    assert "allowUnknown" in refused.value.remedy
    assert reserve(None, Budget(), asked(usd=None)) == asked(usd=None)
    allowed = replace(capped, allow_unknown=True)
    assert reserve(None, allowed, asked(usd=None)) == asked(usd=None)
    with pytest.raises(BudgetExceeded):
        reserve(folded([asked("a", 1)]), allowed, asked("b", usd=None))


@pytest.mark.parametrize("usd", [float("nan"), float("inf"), -1.0])
def test_a_number_that_is_no_price_is_an_unknown_price(usd: float) -> None:
    assert objections(None, Budget(overall=Caps(day_usd=100)), asked(usd=usd)) != []
    assert folded([asked(usd=usd)]).open["job-1"].micros is None


def test_a_cap_of_one_job_counts_all_its_attempts_over_months() -> None:
    budget = Budget(overall=Caps(job_usd=5))
    again = asked(usd=2.0, attempt_of="retry", first_attempt=2, earlier_usd=3.0)
    assert objections(None, budget, again) == []
    assert objections(None, budget, replace(again, earlier_usd=3.5)) != []
    december = folded([again])
    assert december.jobs == {"job-1": 3_000_000}, "also while the retry runs, or if it is never sent"
    over = folded([SpendSettled(job_id="job-1", first_attempt=2, usd=1.0, basis="reported")], december)
    assert over.jobs == {"job-1": 4_000_000}
    assert over.settled(OVERALL) == 1_000_000, "what was spent before stands in its own month"


def test_an_end_of_an_earlier_reservation_does_not_touch_a_later_one() -> None:
    ledger = folded([asked(first_attempt=2)])
    assert folded([SpendReleased(job_id="job-1", first_attempt=1, reason="late")], ledger) == ledger


def test_a_day_and_a_month_are_those_of_utc() -> None:
    last_second = 1_798_761_599_000_000
    assert (day_of(last_second), ledger_stream(last_second)) == ("2026-12-31", "spend/2026-12")
    assert (day_of(last_second + 1_000_000), ledger_stream(last_second + 1_000_000)) == ("2027-01-01", "spend/2027-01")


def test_money_is_shown_with_as_many_digits_as_it_has() -> None:
    assert [dollars(micros) for micros in (0, 1_500_000, 1_234_560_000, 1, 250)] == [
        "$0.00",
        "$1.50",
        "$1,234.56",
        "$0.000001",
        "$0.00025",
    ]


CANCELLED = JobCancelled(attempt=1, reason="stop")
REFUSED = JobFailed(
    attempt=1, error=ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message="no", retryable=False, provider="openai")
)
BROKEN = JobFailed(attempt=1, error=ERROR)
UNKNOWN = SubmissionUnknown(attempt=1, reason="lost", searchable=True)
UNCERTAIN = SubmissionUnknown(attempt=1, reason="lost", searchable=False)
ESTIMATE = settled("job-1", 1.0, "estimate")
RELEASED = released("job-1")


@pytest.mark.parametrize(
    ("before", "ended_by", "end"),
    [
        ((), (CANCELLED,), RELEASED),
        (SENT[:1], (REFUSED,), RELEASED),
        ((*SENT[:1], SubmissionNotFound(attempt=1)), (CANCELLED,), RELEASED),
        (SENT[:1], (BROKEN,), ESTIMATE),
        ((*SENT[:1], UNKNOWN), (BROKEN,), ESTIMATE),
        ((*SENT[:1], UNCERTAIN), (CANCELLED,), ESTIMATE),
        (SENT, (CANCELLED,), ESTIMATE),
        (SENT, (BROKEN,), ESTIMATE),
        (SENT, (CostReported(attempt=1, usd=0.25), BROKEN), replace(ESTIMATE, usd=0.25, basis="reported")),
        (SENT, (CostReported(attempt=1, usd=0), CANCELLED), replace(ESTIMATE, usd=0, basis="reported")),
        ((*SENT, CostReported(attempt=1, usd=2)), (CANCELLED,), replace(ESTIMATE, usd=2, basis="reported")),
    ],
)
def test_what_an_end_costs_is_what_the_provider_says_else_what_was_reserved_and_nothing_where_nothing_was_sent(
    before: tuple[JobEvent, ...], ended_by: tuple[JobEvent, ...], end: LedgerEvent
) -> None:
    assert closing(folded([asked()]), "job-1", job_after(*before), ended_by) == end


def test_a_quote_takes_the_estimates_place_and_says_so_and_an_unknown_price_stays_unknown() -> None:
    quoted = folded([asked(), SpendAdjusted(job_id="job-1", first_attempt=1, usd=1.75, basis="its own")])
    assert closing(quoted, "job-1", job_after(*SENT), (CANCELLED,)) == replace(ESTIMATE, usd=1.75, basis="quote")
    unknown = folded([asked(usd=None)])
    end = closing(unknown, "job-1", job_after(*SENT), (CANCELLED,))
    assert end is not None
    assert end == replace(ESTIMATE, usd=None, basis="none")
    assert folded([end], unknown).unpriced == 1


def test_a_job_that_holds_nothing_ends_without_the_ledger() -> None:
    assert closing(None, "job-1", job_after(*SENT), (CANCELLED,)) is None
    assert closing(folded([asked("another")]), "job-1", job_after(*SENT), (CANCELLED,)) is None


def test_a_retry_that_was_never_sent_is_released_though_an_earlier_attempt_was() -> None:
    job = job_after(*SENT, CANCELLED, RetryRequested(reason="again", ledger="spend/2026-12"))
    held = folded([asked(attempt_of="retry", first_attempt=2)])
    assert job.ledger == "spend/2026-12"
    assert closing(held, "job-1", job, (CANCELLED,)) == replace(RELEASED, first_attempt=2)


def test_a_paused_job_goes_on_under_the_reservation_it_holds() -> None:
    waiting = job_after(*SENT, PauseRequested(reason="later"))
    paused = evolve_job(waiting, ResumeRequested(reason="the pause's time is over"), at_us=3)
    assert paused.ledger == "spend/2026-11"
