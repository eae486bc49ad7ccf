"""multi-agent-learn: every participant's lesson is really kept, with what was measured of it, or with nothing."""

from tests.daemon.daemon_rig import Json, Rig

from genomed.entities.interaction import Interaction


def work(**more: object) -> Json:
    return {"input": "plan the trip", "contribution": "take the train"} | more


def team(participants: Json, *, success: bool = True, **more: object) -> Json:
    outcome = {"success": success, "metrics": {"speed": 0.9, "care": 0.2}}
    return {"domain": "travel", "baseModel": "tiny", "outcome": outcome, "participants": participants} | more


async def interaction(rig: Rig, learned: Json) -> Interaction:
    state = (await rig.journal.load(f"interaction/{learned['interactionId']}")).state
    assert isinstance(state, Interaction)
    return state


async def test_success_is_reinforced_failure_is_corrected_and_both_are_stored(quiet: Rig) -> None:
    participants = {
        "ada": work(successMetric="speed"),
        "bob": work(successMetric="care", correctedContribution="take the night train"),
        "cyd": work(successMetric="care"),
    }
    answer = await quiet.call("multi-agent-learn", team(participants))
    ada, bob, cyd = answer["participants"]
    assert (ada["learningType"], ada["successLevel"], ada["learned"]) == ("reinforcement", 0.9, True)
    assert (bob["learningType"], bob["successLevel"], bob["learned"]) == ("correction", 0.2, True)
    assert (cyd["learningType"], cyd["learned"], cyd["trainingExamples"]) == ("correction", False, 1)
    assert [(await interaction(quiet, one)).quality for one in (ada, bob, cyd)] == [1.0, 1.0, 0.0]
    assert [(await interaction(quiet, one)).usable for one in (ada, bob, cyd)] == [True, True, False]
    assert answer["insights"] == {"topPerformer": "ada", "needsImprovement": ["bob", "cyd"], "teamSuccess": True}


async def test_an_unmeasured_metric_is_null_and_judges_nothing(quiet: Rig) -> None:
    (one,) = (await quiet.call("multi-agent-learn", team({"ada": work(successMetric="grace")})))["participants"]
    assert (one["successLevel"], one["learningType"], one["learned"]) == (None, "none", False)
    assert (await interaction(quiet, one)).quality is None


async def test_without_a_metric_of_its_own_the_outcome_of_the_team_counts(quiet: Rig) -> None:
    (one,) = (await quiet.call("multi-agent-learn", team({"ada": work()}, success=False)))["participants"]
    assert (one["successLevel"], one["learningType"]) == (0.0, "correction")


async def test_patterns_that_are_switched_off_keep_nothing(quiet: Rig) -> None:
    before = quiet.journal.head()
    participants = {"ada": work(reinforcePattern=False), "bob": work(successMetric="care", correctPattern=False)}
    answer = await quiet.call("multi-agent-learn", team(participants))
    assert [one["interactionId"] for one in answer["participants"]] == [None, None]
    assert quiet.journal.head() == before


async def test_one_wrong_participant_keeps_all_of_them_out_and_is_named(quiet: Rig) -> None:
    wrong = work(input=[{"role": "assistant", "content": "hello"}])
    error = await quiet.refused("multi-agent-learn", team({"ada": work(), "bob": wrong}))
    assert error.kind == "invalid_request"
    assert all(problem.field.startswith("participants.bob.") for problem in error.details)


async def test_immediate_training_starts_a_real_job_once_there_is_enough(rig: Rig) -> None:
    rule = {"provider": "simulated", "minExamples": 500, "template": {"method": {"type": "lora"}}}
    where = {"personaId": "ada", "domain": "travel", "baseModel": "tiny"}
    await rig.call("trigger-set", where | {"rule": rule})
    for n in range(10):
        given = team({"ada": work(input=f"plan trip {n}", contribution=f"way {n}")}, trainingMode="immediate")
        answer = await rig.call("multi-agent-learn", given)
        assert answer["trainingAsked"] == ([answer["participants"][0]["bucketId"]] if n == 0 else [])

    async def started() -> bool:
        return bool(await rig.journal.query("SELECT 1 FROM jobs"))

    await rig.until(started, "a job")
    ((job_id,),) = await rig.journal.query("SELECT job_id FROM jobs")
    assert (await rig.ended(str(job_id))).status == "succeeded"
    assert (await rig.bucket())["lastReason"] == "a team's work is to be learned from at once"
