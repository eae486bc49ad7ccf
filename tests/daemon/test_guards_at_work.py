"""Guards hold where rows become datasets and jobs: by triggers, agents' wishes and drafts; no agent lowers them."""

from pathlib import Path

import msgspec
from tests.daemon.daemon_rig import Json, Rig, chat, running, simulated, write_rows

from genomed.commands.context import Caller
from genomed.entities.envelope import Envelope
from genomed.entities.events import DatasetFrozen
from genomed.entities.experience_events import ExamplesReserved
from genomed.entities.guard_events import GuardsApplied
from genomed.entities.types import Role

AGENT = Caller(actor="uid:1001", role=Role.CAPTURE)
OTHER = Caller(actor="uid:1002", role=Role.CAPTURE)


def guarded(**guards: object) -> Json:
    return {"guards": guards}


async def captured(rig: Rig, count: int, *, caller: Caller = AGENT, start: int = 0, **more: object) -> list[str]:
    found = []
    for n in range(start, start + count):
        said = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "input": f"{n}+{n}", "output": f"{2 * n}"}
        reply = await rig.execute("capture-interaction", said | more, caller=caller)
        assert isinstance(reply.result, msgspec.Raw), reply.error
        found.append(str(msgspec.json.decode(reply.result)["interactionId"]))
    return found


async def approved(rig: Rig, ids: list[str], caller: Caller) -> None:
    for one in ids:
        reply = await rig.execute("capture-feedback", {"interactionId": one, "kind": "approval"}, caller=caller)
        assert isinstance(reply.result, msgspec.Raw), reply.error


async def applications(rig: Rig) -> list[GuardsApplied]:
    envelopes: list[Envelope] = await rig.journal.read_all(after=0)
    return [one.event for one in envelopes if isinstance(one.event, GuardsApplied)]


async def states(rig: Rig, bucket_id: str) -> dict[str, int]:
    rows = await rig.journal.query(
        "SELECT state, count(*) FROM examples WHERE bucket_id = ? GROUP BY state", (bucket_id,)
    )
    return {str(state): int(str(count)) for state, count in rows}


async def test_an_agent_alone_teaches_its_persona_nothing_however_often_it_approves_itself(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        await rig.rule(minExamples=10)
        ids = await captured(rig, 30)
        await approved(rig, ids, AGENT)
        bucket = await rig.bucket()
        assert (bucket["ready"], bucket["code"], bucket["counts"]["usable"]) == (False, "guarded", 0)
        [held] = bucket["heldBack"]
        assert (held["guard"], held["examples"]) == ("max_self_generated_share", 30)
        assert held["reason"] in bucket["reason"]
        refused = await rig.refused("bucket-flush", {"bucketId": bucket["bucketId"]})
        assert (refused.kind, "nobody else judged" in refused.message) == ("conflict", True)


async def test_what_others_judged_is_learned_with_as_many_own_words_and_the_rest_waits(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        bucket_id = await rig.rule(minExamples=20)
        ids = await captured(rig, 30)
        await approved(rig, ids[20:], OTHER)

        async def fired() -> bool:
            return bool(await rig.events(f"bucket/{bucket_id}", ExamplesReserved))

        await rig.until(fired, "the trigger")
        [reserved] = await rig.events(f"bucket/{bucket_id}", ExamplesReserved)
        assert (reserved.examples, await states(rig, bucket_id)) == (20, {"reserved": 20, "pending": 10})
        [told] = await applications(rig)
        assert [(one.guard, one.examples) for one in told.effects] == [("max_self_generated_share", 10)]
        assert told.job_id == reserved.job_id
        [frozen] = await rig.events(f"dataset/{reserved.dataset_id}", DatasetFrozen)
        [step] = [one for one in frozen.steps if one.step == "guard.max_self_generated_share"]
        assert (step.examined, step.removed, frozen.rows + frozen.eval_rows) == (30, 10, 20)


async def test_an_operators_captures_and_judgements_are_not_a_personas_own(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        bucket_id = await rig.rule()
        await rig.captures(12)
        started = await rig.call("bucket-flush", {"bucketId": bucket_id})
        assert (started["examples"], started["heldBack"]) == (12, [])
        assert await applications(rig) == []


async def test_a_persona_token_with_a_high_role_is_an_agent_still(tmp_path: Path) -> None:
    bound = Caller(actor="token:tok-1", role=Role.OPERATE, personas=frozenset({"ada"}))
    second = Caller(actor="token:tok-2", role=Role.CAPTURE, personas=frozenset({"ada"}))
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        ids = await captured(rig, 12, caller=bound)
        await approved(rig, ids, second)
        assert (await rig.bucket())["counts"]["heldBack"] == 12


async def test_rows_over_a_sources_quota_wait_and_the_day_is_counted_over_all_jobs(tmp_path: Path) -> None:
    given = guarded(quotas={"session": {"max_rows_per_day": 15}})
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        bucket_id = await rig.rule()
        await rig.captures(20, sessionId="flood")
        first = await rig.call("bucket-flush", {"bucketId": bucket_id})
        assert first["examples"] == 15
        assert await states(rig, bucket_id) == {"reserved": 15, "pending": 5}
        await rig.call("job-cancel", {"jobId": first["jobId"]})
        await rig.captures(10, start=20, sessionId="flood")
        bucket = await rig.bucket()
        assert bucket["counts"]["usable"] == 0
        assert "at most 15 rows a day" in bucket["heldBack"][0]["reason"]
        rig.clock.ahead_us += 24 * 3600 * 1_000_000
        assert (await rig.bucket())["counts"]["usable"] == 15


async def test_a_draft_is_held_to_the_same_quota_and_says_so(tmp_path: Path) -> None:
    given = guarded(quotas={"session": {"max_share": 0.5}})
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        for n, session in enumerate(["a", "b"]):
            ids = await captured(rig, 4 if session == "a" else 2, start=10 * n, sessionId=session)
            await approved(rig, ids, OTHER)
        draft = await rig.call("dataset-create", {"personaId": "ada", "name": "sums", "rowKind": "chat"})
        await rig.call("dataset-attach", {"draftId": draft["draftId"], "method": "sft"})
        valid = await rig.call("dataset-validate", {"draftId": draft["draftId"]})
        frozen = await rig.call("dataset-freeze", {"draftId": draft["draftId"]})
        assert frozen["rows"] + frozen["evalRows"] == 4 == valid["rows"] + valid["evalRows"]
        assert [one["removed"] for one in frozen["steps"] if one["step"].startswith("guard.")] == [2]


async def test_the_operators_least_wins_over_a_rule_and_the_result_and_the_log_say_so(tmp_path: Path) -> None:
    given = guarded(min_cooldown_s=3600, min_examples=15, min_held_out_share=0.3)
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        rule = {"provider": "simulated", "minExamples": 10, "cooldownS": 0, "heldOutShare": 0.05}
        asked = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "rule": rule}
        told = await rig.call("trigger-set", asked)
        assert {one["field"] for one in told["tightened"]} >= {"cooldownS", "minExamples", "heldOutShare"}
        await rig.captures(16)
        bucket = await rig.bucket()
        assert (bucket["rule"]["cooldownS"], bucket["rule"]["minExamples"], bucket["ready"]) == (3600, 15, True)
        started = await rig.call("bucket-flush", {"bucketId": bucket["bucketId"]})
        assert started["evalRows"] >= 4
        [applied] = await applications(rig)
        assert {one.guard for one in applied.tightened} == {"min_cooldown_s", "min_examples", "min_held_out_share"}


async def test_an_agents_haste_does_not_get_below_the_least_examples(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=guarded(min_examples=20), courier=False) as rig:
        bucket_id = await rig.rule(minExamples=50)
        ids = await captured(rig, 12)
        await approved(rig, ids, OTHER)
        part = {"input": "9+9", "contribution": "18"}
        team = {"domain": "sums", "outcome": {"success": True}, "participants": {"ada": part}, "baseModel": "tiny"}
        await rig.execute("multi-agent-learn", team | {"trainingMode": "immediate"}, caller=OTHER)
        assert (await rig.bucket())["ready"] is False
        tune = {"personaId": "ada", "domain": "sums", "baseModel": "tiny", "forceUpdate": True}
        refused = await rig.refused("batch-micro-tune", tune, caller=AGENT)
        assert (refused.kind, "20 are the least" in refused.message) == ("conflict", True)
        assert await rig.events(f"bucket/{bucket_id}", ExamplesReserved) == []


async def test_no_more_jobs_a_day_by_triggers_and_agents_and_the_reason_names_the_guard(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=guarded(max_jobs_per_day=1), courier=False, triggers=False) as rig:
        await rig.rule(minExamples=10)
        dataset_id = await rig.dataset()
        await rig.create_job(dataset_id=dataset_id)
        await rig.captures(12)
        bucket = await rig.bucket()
        assert (bucket["ready"], bucket["code"]) == (False, "guarded")
        assert "max_jobs_per_day" in bucket["reason"]
        asked = {"personaId": "ada", "provider": "simulated", "configuration": simulated(dataset_id)}
        assert (await rig.refused("job-create", asked, caller=AGENT)).kind == "forbidden"
        await rig.call("job-create", asked)


async def test_an_agent_cannot_train_on_what_holds_nothing_out_to_judge_it_by(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        dataset_id = await rig.dataset(40, eval_share=0)
        asked = {"personaId": "ada", "provider": "simulated", "configuration": simulated(dataset_id)}
        refused = await rig.refused("job-create", asked, caller=AGENT)
        assert (refused.kind, "min_held_out_share" in refused.message) == ("forbidden", True)


async def test_a_personas_own_guards_hold_for_it_alone(tmp_path: Path) -> None:
    given = guarded(personas={"ada": {"max_self_generated_share": 1.0}})
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        await captured(rig, 10)
        await captured(rig, 10, start=10, personaId="bob")
        counts = {one["personaId"]: one["counts"] for one in (await rig.call("bucket-status"))["buckets"]}
        assert (counts["ada"]["usable"], counts["bob"]["usable"]) == (10, 0)


async def test_readiness_names_what_each_guard_holds_back(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        await captured(rig, 11)
        await captured(rig, 2, start=20, writtenBy=["mail"])
        [trigger] = (await rig.call("dataset-readiness", {"personaId": "ada"}))["triggers"]
        assert ([one["examples"] for one in trigger["heldBack"]], trigger["quarantined"]) == ([11], 2)


async def test_a_restart_changes_nothing_of_what_guards_hold_back(tmp_path: Path) -> None:
    given = guarded(quotas={"session": {"max_rows_per_day": 5}})
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        ids = await captured(rig, 8, sessionId="s")
        await approved(rig, ids[:6], OTHER)
        await captured(rig, 2, start=20, writtenBy=["mail"])
        before = await rig.bucket()
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        assert await rig.bucket() == before
        assert before["counts"]["quarantined"] == 2


async def test_what_an_untrusted_trace_source_recorded_waits_in_quarantine(tmp_path: Path) -> None:
    log = write_rows(tmp_path / "chats.jsonl", [chat("2+2", "4"), chat("3+3", "6")])
    for name, guards, waiting in (("a", guarded(untrusted_sources=["trace:chat_log"]), 2), ("b", guarded(), 0)):
        async with running(tmp_path / name, given=guards, courier=False, triggers=False) as rig:
            asked = {"kind": "chat_log", "path": str(log), "personaId": "ada", "domain": "sums", "baseModel": "tiny"}
            assert (await rig.call("trace-import", asked))["interactions"] == 2
            assert (await rig.call("quarantine-list"))["total"] == waiting
            assert (await rig.bucket())["counts"]["usable"] == 2 - waiting
