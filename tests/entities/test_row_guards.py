"""Guards over rows: no source and no persona gets beyond its share, and what waits is counted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.guards import Guards, Quota
from genomed.entities.row_guards import Provenance, Scope, admitted, merged, nobody_judged, steps_of


def rows_of(*sources: str, own: bool = False, by_agent: bool = True) -> list[Provenance]:
    return [Provenance(origin=f"i{n}", sources=(one,), own=own, by_agent=by_agent) for n, one in enumerate(sources)]


def sessions(quota: Quota) -> Guards:
    return Guards(quotas={"session": quota})


provenances = st.lists(
    st.builds(
        Provenance,
        origin=st.just("i"),
        sources=st.lists(st.sampled_from(["session:a", "session:b", "session:c", "agent:x", "tool:t", "tool:u"]))
        .map(set)
        .map(sorted)
        .map(tuple),
        own=st.booleans(),
        by_agent=st.booleans(),
    ),
    max_size=40,
)
limits = st.builds(
    Guards,
    max_self_generated_share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    self_generated_by=st.sampled_from(["agents", "everybody"]),
    quotas=st.dictionaries(
        st.sampled_from(["session", "agent", "tool"]),
        st.builds(
            Quota,
            max_share=st.none() | st.sampled_from([0.1, 0.34, 0.5, 1.0]),
            max_rows=st.none() | st.integers(0, 9),
            max_rows_per_day=st.none() | st.integers(0, 9),
        ),
    ),
)


@given(provenances, limits, st.integers(0, 20), st.integers(1, 50))
def test_no_limit_is_passed_and_every_row_that_waits_is_counted(
    rows: list[Provenance], guards: Guards, others: int, limit: int
) -> None:
    taken = {"session:a": 3}
    found = admitted(rows, guards, Scope(taken=taken, others=others, limit=limit))
    kept = [rows[n] for n in found.kept]
    whole = others + len(kept)
    own = sum(one.own and (one.by_agent or guards.self_generated_by == "everybody") for one in kept)
    assert own <= guards.max_self_generated_share * whole + 1e-6
    counts = Counter(source for one in kept for source in one.sources)
    assert found.sources == dict(counts)
    for source, count in counts.items():
        quota = guards.quotas.get(source.partition(":")[0], Quota())  # type: ignore[call-overload]
        assert quota.max_share is None or count <= quota.max_share * whole + 1e-6
        assert quota.max_rows is None or count <= quota.max_rows
        assert quota.max_rows_per_day is None or count <= max(0, quota.max_rows_per_day - taken.get(source, 0))
    assert list(found.kept) == sorted(found.kept)
    held = sum(one.examples for one in found.effects)
    assert len(kept) + held == len(rows) or len(kept) == limit or len(rows) > limit


@given(provenances, limits)
def test_choosing_again_among_the_chosen_changes_nothing(rows: list[Provenance], guards: Guards) -> None:
    kept = [rows[n] for n in admitted(rows, guards).kept]
    assert admitted(kept, guards).kept == tuple(range(len(kept)))


def test_without_quotas_and_own_words_everything_goes_in() -> None:
    found = admitted(rows_of("session:a", "session:a"), Guards())
    assert (found.kept, found.effects) == ((0, 1), ())


def test_a_single_source_cannot_be_within_a_share_of_itself() -> None:
    found = admitted(rows_of(*["session:a"] * 9), sessions(Quota(max_share=0.5)))
    assert found.kept == ()
    [effect] = found.effects
    assert (effect.guard, effect.examples, effect.of) == ("quotas.session.max_share", 9, 9)
    assert "at most 0.5 of the rows" in effect.reason


def test_a_flood_from_one_session_is_cut_to_its_share_and_the_first_stay() -> None:
    found = admitted(
        rows_of(*["session:flood"] * 90, *["session:b"] * 5, *["session:c"] * 5), sessions(Quota(max_share=0.5))
    )
    assert found.kept == (*range(10), *range(90, 100))
    assert found.effects[0].examples == 80


def test_a_row_of_two_sources_counts_as_one_row() -> None:
    rows = [Provenance(origin="x"), Provenance(origin="y", sources=("session:a", "session:b"))]
    assert admitted(rows, sessions(Quota(max_share=0.34))).kept == (0,)


def test_own_words_fill_at_most_what_the_judged_ones_allow() -> None:
    own = rows_of(*["agent:x"] * 30, own=True)
    judged = rows_of(*["agent:x"] * 10)
    assert len(admitted([*own, *judged], Guards()).kept) == 20
    assert len(admitted([*own, *judged], Guards(max_self_generated_share=0.2)).kept) == 12
    assert admitted(own, Guards()).kept == ()


def test_an_operators_captures_are_own_words_only_where_everybodys_are() -> None:
    own = rows_of(*["agent:x"] * 4, own=True, by_agent=False)
    assert len(admitted(own, Guards()).kept) == 4
    assert admitted(own, Guards(self_generated_by="everybody")).kept == ()


def test_what_was_taken_today_is_not_taken_again() -> None:
    found = admitted(rows_of(*["session:a"] * 5), sessions(Quota(max_rows_per_day=4)), Scope(taken={"session:a": 3}))
    assert found.kept == (0,)
    assert "at most 4 rows a day" in found.effects[0].reason


def test_own_words_do_not_crowd_out_judged_ones_at_the_limit() -> None:
    rows = [*rows_of(*["agent:x"] * 50, own=True), *rows_of(*["agent:x"] * 50)]
    found = admitted(rows, Guards(), Scope(limit=10))
    assert len(found.kept) == 10
    assert sum(rows[n].own for n in found.kept) == 5


def test_effects_of_two_choices_are_one_per_guard_and_stand_among_the_cleaning_steps() -> None:
    first = admitted(rows_of(*["session:a"] * 3), sessions(Quota(max_rows=2))).effects
    then = admitted(rows_of(*["session:a"] * 4), sessions(Quota(max_rows=2))).effects
    [both] = merged(first, then)
    assert (both.examples, both.of) == (3, 3)
    [step] = steps_of((both,))
    assert (step.step, step.removed) == ("guard.quotas.session.max_rows", 3)


def test_a_flood_that_nobody_judged_is_told_as_if_each_row_had_been_looked_at() -> None:
    looked = admitted(rows_of(*["agent:x"] * 30, own=True), Guards()).effects
    told = nobody_judged(30, Guards()).effects
    assert [(one.guard, one.examples, one.of, one.reason) for one in told] == [
        (one.guard, one.examples, one.of, one.reason) for one in looked
    ]
