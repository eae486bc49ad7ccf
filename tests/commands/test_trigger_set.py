"""trigger-set writes a bucket's whole rule, once, and refuses what no rule may say."""

import pytest
from tests.daemon.daemon_rig import Rig

WHERE = {"personaId": "ada", "domain": "sums", "baseModel": "tiny"}


async def test_a_rule_is_whole_and_what_is_left_out_is_the_default(quiet: Rig) -> None:
    await quiet.call("trigger-set", WHERE | {"rule": {"provider": "simulated", "minExamples": 20}})
    made = await quiet.call("trigger-set", WHERE | {"rule": {"provider": "simulated", "cooldownS": 5}})
    assert (made["rule"]["minExamples"], made["rule"]["cooldownS"]) == (50, 5)
    assert (await quiet.bucket())["ruleIsDefault"] is False


async def test_the_same_rule_twice_is_written_once(quiet: Rig) -> None:
    bucket_id = await quiet.rule(minExamples=20)
    assert await quiet.rule(minExamples=20) == bucket_id
    assert await quiet.types(f"bucket/{bucket_id}") == ["bucket.trigger_set"]


async def test_the_numbers_of_the_issue_are_the_defaults(quiet: Rig) -> None:
    rule = (await quiet.call("trigger-set", WHERE | {"rule": {"provider": "simulated"}}))["rule"]
    assert (rule["minExamples"], rule["highQualityExamples"], rule["highQualityAbove"]) == (50, 20, 0.7)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"minExamples": 9}, "rule.minExamples"),
        ({"minExamples": 1001}, "rule.minExamples"),
        ({"highQualityAbove": 1.1}, "rule.highQualityAbove"),
        ({"maxWaitS": 0}, "rule.maxWaitS"),
        ({"maxWaitS": 1e305}, "rule.maxWaitS"),
        ({"cooldownS": 1e308}, "rule.cooldownS"),
        ({"heldOutShare": 0}, "rule.heldOutShare"),
        ({"rowKind": "poem"}, "rule.rowKind"),
        ({"template": {"method": {"type": "lora", "loraConfig": {"rank": 0}}}}, "rule.template.method.loraConfig.rank"),
        ({"minimum": 5}, "rule.minimum"),
    ],
)
async def test_a_rule_out_of_range_is_refused_by_its_field(quiet: Rig, rule: dict[str, object], field: str) -> None:
    error = await quiet.refused("trigger-set", WHERE | {"rule": rule})
    assert [problem.field for problem in error.details] == [field]


async def test_a_provider_that_does_not_exist_is_refused_when_the_rule_is_set(quiet: Rig) -> None:
    assert (await quiet.refused("trigger-set", WHERE | {"rule": {"provider": "nobody"}})).kind == "not_found"


@pytest.mark.parametrize("row_kind", ["triplet", "ranking", "vector_pair", "record"])
async def test_a_rule_for_rows_that_no_bucket_gives_is_refused(quiet: Rig, row_kind: str) -> None:
    rule = {"provider": "simulated", "rowKind": row_kind}
    error = await quiet.refused("trigger-set", WHERE | {"rule": rule})
    assert [problem.field for problem in error.details] == ["rule.rowKind"]


async def test_a_rule_keeps_its_own_kind_of_rows_unless_it_asks_for_a_choice(quiet: Rig) -> None:
    rule = (await quiet.call("trigger-set", WHERE | {"rule": {"provider": "simulated"}}))["rule"]
    assert (rule["method"], rule["rowKind"]) == ("fixed", "chat")
