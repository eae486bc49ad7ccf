"""What an operator lets no agent lower: it wins over every rule, per persona, and says what it changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.checking import convert
from genomed.entities.cleaning import CleaningRules
from genomed.entities.errors import InvalidRequest
from genomed.entities.guards import Guards, PersonaGuards, Tightened, tightened, tightened_rules, untrusted
from genomed.entities.trigger_rule import TriggerRule

rules = st.builds(
    TriggerRule,
    min_examples=st.integers(10, 1000),
    high_quality_examples=st.integers(1, 1000),
    wait_min_examples=st.integers(1, 1000),
    cooldown_s=st.floats(0, 1e6),
    max_examples=st.integers(10, 10000),
    held_out_share=st.floats(0.05, 0.5),
)


@given(rules, st.integers(0, 1000), st.floats(0, 1e6), st.floats(0, 0.5))
def test_no_rule_gets_below_the_operators_least(rule: TriggerRule, fewest: int, cooldown: float, share: float) -> None:
    guards = Guards(min_examples=fewest, min_cooldown_s=cooldown, min_held_out_share=share)
    held, told = tightened(rule, guards)
    assert held.min_examples >= fewest
    assert held.high_quality_examples >= fewest
    assert held.wait_min_examples >= fewest
    assert held.max_examples >= fewest
    assert held.cooldown_s >= cooldown
    assert held.held_out_share >= share
    assert (held == rule) == (told == ())
    assert tightened(held, guards) == (held, ())


def test_a_rule_within_the_limits_is_left_as_it_is() -> None:
    rule = TriggerRule(cooldown_s=3600)
    assert tightened(rule, Guards(min_cooldown_s=600)) == (rule, ())


def test_what_was_tightened_is_said_in_wire_names() -> None:
    _, told = tightened(TriggerRule(cooldown_s=0), Guards(min_cooldown_s=600))
    assert told == (Tightened(guard="min_cooldown_s", field="cooldownS", asked=0, given=600),)
    assert told[0].sentence == "min_cooldown_s makes cooldownS 600, not 0"


def test_a_personas_own_guards_replace_only_what_they_name() -> None:
    guards = Guards(
        min_cooldown_s=60, max_self_generated_share=0.5, personas={"ada": PersonaGuards(max_self_generated_share=0.1)}
    )
    assert guards.of("ada").max_self_generated_share == 0.1
    assert guards.of("ada").min_cooldown_s == 60
    assert guards.of("bob") is guards


def test_the_section_refuses_names_and_numbers_that_mean_nothing() -> None:
    with pytest.raises(InvalidRequest):
        convert({"max_self_generated_share": 1.5}, Guards)
    with pytest.raises(InvalidRequest):
        convert({"quotas": {"planet": {"max_rows": 1}}}, Guards)
    with pytest.raises(InvalidRequest):
        convert({"personas": {"ada": {"personas": {}}}}, Guards)


def test_a_draft_cannot_take_more_of_recipes_rows_than_the_operator_lets_it() -> None:
    asked = CleaningRules(max_self_generated_share=0.9)
    held, told = tightened_rules(asked, Guards(max_recipe_share=0.3))
    assert held.max_self_generated_share == 0.3
    assert [one.field for one in told] == ["maxSelfGeneratedShare"]
    assert tightened_rules(CleaningRules(max_self_generated_share=0.2), Guards(max_recipe_share=0.3))[1] == ()
    assert tightened_rules(asked, Guards()) == (asked, ())


@pytest.mark.parametrize("tool", ["web_search", "WebFetch", "fetch_url", "http_get", "browser.open", "scrape"])
def test_tools_that_bring_in_the_net_are_not_trusted_by_themselves(tool: str) -> None:
    assert untrusted([f"tool:{tool}"], Guards()) == (f"tool:{tool}",)


@pytest.mark.parametrize("tool", ["calculator", "lookup", "weather", "search", "sql", "unnamed"])
def test_other_tools_and_their_agents_are(tool: str) -> None:
    assert untrusted([f"tool:{tool}", "agent:uid:7", "trace:phoenix:main"], Guards()) == ()


def test_what_the_agent_itself_calls_foreign_waits_unless_the_operator_trusts_that_name() -> None:
    assert untrusted([], Guards(), declared=["tool:mail"]) == ("tool:mail",)
    assert untrusted([], Guards(trusted_tools=("mail",)), declared=["tool:mail"]) == ()
    assert untrusted([], Guards(untrusted_tools=()), declared=["tool:mail"]) == ("tool:mail",)


def test_an_operator_can_trust_a_tool_of_the_net_and_distrust_a_source() -> None:
    assert untrusted(["tool:web_search"], Guards(trusted_tools=("web_search",))) == ()
    guards = Guards(untrusted_sources=("trace:*", "agent:uid:1001"), trusted_sources=("trace:phoenix:main",))
    assert untrusted(["trace:phoenix:other", "trace:phoenix:main"], guards) == ("trace:phoenix:other",)
    assert untrusted(["agent:uid:1001", "agent:uid:1002"], guards) == ("agent:uid:1001",)
