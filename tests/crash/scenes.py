"""What an agent and its operator do while the daemon is killed: short scenes that reach every kind of event and call.

Each scene begins and ends in rest, may be played again and again, and asserts what may not depend on a kill. Knows the
commands; knows nothing of failpoints.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from tests.crash.cloud_worlds import ROWS
from tests.crash.harness import Harness
from tests.daemon.daemon_process import Json
from tests.daemon.daemon_rig import chat, simulated, write_rows

from genomed.adapters.simulated.remote import RemoteJob
from genomed.adapters.simulated.serving import Served
from genomed.entities.deployment import deployment_key
from genomed.entities.ids import submission_key

LEARNED_AT = 10
WANTED = 4
AT_ONCE = 4
"""Questions that a model is asked together, where its settings say nothing else."""


def captures(stage: Harness) -> None:
    """An agent's day: answers, a judgement of each kind, and the operator's caps."""
    n = stage.asked
    stage.call("budget-set", {"budget": {"overall": {"dayUsd": 1000 + n}, "allowUnknown": True}})
    capture(stage, f"talk-{n}", domain="talk", mark=0)
    kept = capture(stage, f"talk-{n}", domain="talk", mark=1)
    stage.call(
        "capture-feedback", {"interactionId": kept["interactionId"], "kind": "correction", "correctedOutput": "4"}
    )
    stage.call("capture-feedback", {"interactionId": kept["interactionId"], "kind": "score", "score": 0.5})


def rows(stage: Harness) -> None:
    """A file on its way into a draft and into versions of it, out again, and put away."""
    n = stage.asked
    path = rows_file(stage, f"rows-{n}", 12)
    draft = stage.call("dataset-create", {"personaId": "ada", "name": f"draft {n}", "rowKind": "chat"})["draftId"]
    stage.call("dataset-import", {"draftId": draft, "path": str(path)})
    frozen = stage.call("dataset-freeze", {"draftId": draft})["datasetId"]
    proposed = stage.call(
        "review-propose",
        {"draftId": draft, "generator": "dreamer", "rows": [{"row": chat(f"r{n}-{i}", f"{i}")} for i in range(3)]},
    )
    first, *others = [one["itemId"] for one in proposed["items"]]
    stage.call("review-decide", {"decision": "approve", "itemIds": [first], "corrections": {first: f"better {n}"}})
    stage.call("review-decide", {"decision": "reject", "itemIds": others})
    again = stage.call("dataset-freeze", {"draftId": draft})["datasetId"]
    assert again != frozen
    [segment] = stage.read("dataset-show", {"draftId": draft})["draft"]["segments"]
    stage.call("dataset-detach", {"draftId": draft, "sha256": segment["sha256"]})
    stage.call("dataset-archive", {"draftId": draft, "reason": "done"})


def job(stage: Harness) -> None:
    """A job whose create call is lost and which vanishes once; paid once for each attempt that was sent."""
    found = ended(
        stage, create_job(stage, lostReply=True, delayLookupTimes=1, loseWorkerAtStep=2, serverErrors=1), attempts=2
    )
    assert (found["status"], found["adopted"]) == ("succeeded", True), found
    where = {"personaId": "ada", "domain": "sums", "baseModel": "tiny"}
    stage.call("layer-rollback", where)
    stage.call("layer-activate", {"layerId": found["layerId"]})


def cancelled(stage: Harness) -> None:
    """A job that would run for an hour: paused, resumed, cancelled."""
    job_id = create_job(stage, secondsPerStep=3600)
    _job_when(stage, job_id, "running")
    stage.call("job-pause", {"jobId": job_id})
    _job_when(stage, job_id, "paused")
    stage.call("job-resume", {"jobId": job_id})
    _job_when(stage, job_id, "running")
    stage.call("job-cancel", {"jobId": job_id})
    assert ended(stage, job_id, attempts=2)["status"] == "cancelled"


def learning(stage: Harness) -> None:
    """Enough examples wake the trigger; they are consumed once. No cooldown: the next scene learns anew."""
    n = stage.asked
    rule = {
        "provider": "simulated",
        "minExamples": LEARNED_AT,
        "cooldownS": 0,
        "template": {"method": {"type": "lora"}},
    }
    where = {"personaId": "ada", "domain": f"lesson {n}", "baseModel": "tiny"}
    bucket = stage.call("trigger-set", where | {"rule": rule})["bucketId"]
    for offset in range(LEARNED_AT):
        capture(stage, f"lesson-{n}", domain=f"lesson {n}", mark=offset)

    def job_of_bucket() -> str:
        [one] = stage.read("bucket-status", {"bucketId": bucket})["buckets"]
        return one["lastJobId"] or ""

    stage.until(lambda: bool(job_of_bucket()), "the trigger")
    stage.call("job-approve", {"jobId": job_of_bucket()})  # it costs money, so a person is asked
    assert ended(stage, job_of_bucket())["status"] == "succeeded"
    [one] = stage.read("bucket-status", {"bucketId": bucket})["buckets"]
    assert (one["isLearning"], one["counts"]["usable"]) == (False, 0), one


def cloud(stage: Harness) -> None:
    """A job at a cloud: files sent, one job made there, its layer brought home."""
    there = stage.around.cloud
    n = stage.asked
    path = rows_file(stage, f"cloud-{n}", ROWS)
    dataset = stage.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0.25})["datasetId"]
    configuration = {
        "model": {"baseModel": there.cloud.base_model},
        "datasets": {"trainingFileId": dataset},
        "method": {"type": "lora"},
    } | there.cloud.sections
    wish = {"personaId": "ada", "provider": there.name, "domain": "clouds", "configuration": configuration}
    job_id = str(stage.call("job-create", wish)["jobId"])
    assert ended(stage, job_id)["status"] == "succeeded"
    assert there.emulator.accepted[submission_key(job_id, 1)] == 1, "not paid exactly once"


def recipe(stage: Harness) -> None:
    """A model writes rows, a person lets them in: exactly as many as were wanted."""
    kills, asked = len(stage.history), len(stage.around.model.asked)
    started = stage.call("recipe-run", MODEL_WISH | {"wanted": WANTED, "seed": stage.asked})
    run_id, batch = started["runId"], started["batchId"]

    run = recipe_over(stage, run_id)
    assert (run["state"], run["rows"]) == ("completed", WANTED), run
    repeated = len(stage.around.model.asked) - asked - WANTED
    assert repeated <= AT_ONCE * (len(stage.history) - kills), "only what was under way at a kill may be asked again"
    stage.call("review-decide", {"decision": "approve", "batchId": batch})
    frozen = stage.call("dataset-freeze", {"draftId": started["draftId"]})
    assert frozen["rows"] + frozen["evalRows"] == WANTED


def forgetting(stage: Harness) -> None:
    """What was said in a session is in a dataset; then it is to be forgotten."""
    n = stage.asked
    said = [capture(stage, f"secret-{n}", domain=f"secrets {n}", mark=mark) for mark in range(3)]
    said += [capture(stage, f"open-{n}", domain=f"secrets {n}", mark=mark) for mark in range(10, 13)]
    dataset = stage.call("dataset-create", {"bucketId": said[0]["bucketId"], "evalShare": 0.0})["datasetId"]
    wish = stage.call("forget", {"sessionId": f"secret-{n}", "personaId": "ada"})
    assert wish["interactions"] == 3

    def gone() -> bool:
        carried_out = [one for one in stage.events() if one["stream"] == f"forget/{wish['forgetId']}"]
        return len(_lines(stage, dataset)) == 3 and len(carried_out) == 2

    stage.until(gone, "the end of the forgetting")


def serving(stage: Harness) -> None:
    """A layer that answers for a while, and is deleted at its provider."""
    layer_id = ended(stage, create_job(stage, candidateExactMatch=0.1))["layerId"]
    deployed = stage.call("layer-deploy", {"layerId": layer_id, "hours": 1})["deployment"]
    deployment_id = deployed["deploymentId"]

    def state() -> str:
        listed = stage.read("deployment-list", {"layerId": layer_id})["deployments"]
        return str(next(one["state"] for one in listed if one["deploymentId"] == deployment_id))

    stage.until(lambda: state() == "ready", "the deployment")
    compared = stage.call("layer-compare", {"layerId": layer_id, "prompts": ["1+1"], "maxTokens": 8})
    assert compared["tuned"]["answered"] == 1
    stage.call("layer-undeploy", {"deploymentId": deployment_id})
    stage.until(lambda: state() == "ended", "the end of the deployment")
    there = stage.around.daemon.data / "jobs" / "simulated-serving" / f"{deployment_key(deployment_id)}.json"
    served = msgspec.json.decode(there.read_bytes(), type=Served)
    assert (served.accepted, served.word) == (1, "GONE")
    stage.call("layer-withdraw", {"layerId": layer_id})

    def withdrawn() -> bool:
        return bool(stage.read("layer-show", {"layerId": layer_id})["layer"]["withdrawn"]["withdrawnUs"])

    stage.until(withdrawn, "the withdrawal")


def assert_books(stage: Harness) -> None:
    """At the end, in rest: everybody's books agree with what was acknowledged, from the first command to the last."""
    stage.assert_whole()
    commands = Counter(one.name for one in stage.acknowledged)
    totals = stage.read("overview")["totals"]
    # What is approved was started by the trigger.
    jobs = commands["job-create"] + commands["job-approve"] + commands["bucket-flush"]
    assert sum(totals["jobsByStatus"].values()) == jobs, totals
    told = [one for one in captured(stage) if not one.get("trace")]
    assert len(told) == commands["capture-interaction"]
    assert set(stage.around.cloud.emulator.accepted.values()) <= {1}, stage.around.cloud.emulator.accepted
    folder = stage.around.daemon.data / "jobs"
    remote = [
        msgspec.json.decode(one.read_bytes(), type=RemoteJob) for one in _files(folder / "simulated-provider", "gn")
    ]
    served = [msgspec.json.decode(one.read_bytes(), type=Served) for one in _files(folder / "simulated-serving", "gn")]
    assert {one.accepted for one in remote} <= {0, 1}  # none where the create call was refused
    assert {one.accepted for one in served} <= {1}


def captured(stage: Harness) -> list[Json]:
    """Every interaction in the log."""
    return [one["event"] for one in stage.events() if one["type"] == "interaction.captured"]


def _files(folder: Path, prefix: str) -> list[Path]:
    return sorted(folder.glob(f"{prefix}*.json"))


MODEL_WISH: Json = {"recipe": "test.sums", "personaId": "ada", "model": "small", "budget": {"requests": 1000}}

SCENES: Mapping[str, Callable[[Harness], None]] = {
    scene.__name__: scene for scene in (captures, rows, job, cancelled, learning, cloud, recipe, forgetting, serving)
}


def capture(stage: Harness, session: str, *, domain: str, mark: int, persona: str = "ada") -> Json:
    said = {"personaId": persona, "domain": domain, "baseModel": "tiny", "sessionId": session}
    return stage.call("capture-interaction", said | {"input": f"{session} {mark}", "output": f"{mark * 2}"})


def rows_file(stage: Harness, name: str, count: int) -> Path:
    path = stage.around.daemon.folder / f"{name}.jsonl"
    return write_rows(path, [chat(f"{name} q{n}", f"a{n}") for n in range(count)])


def create_job(stage: Harness, **faults: object) -> str:
    dataset = stage.call(
        "dataset-import", {"personaId": "ada", "path": str(rows_file(stage, f"job-{stage.asked}", 20))}
    )
    configuration = simulated(dataset["datasetId"], steps=3, forgetsKeys=True, **faults)
    wish = {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}
    return str(stage.call("job-create", wish)["jobId"])


def _job_when(stage: Harness, job_id: str, status: str) -> None:
    stage.until(lambda: stage.read("job-status", {"jobId": job_id})["status"] == status, f"{status} of {job_id}")


def ended(stage: Harness, job_id: str, *, attempts: int = 1, paid: bool = True) -> Json:
    """The job at its end, after so many attempts, each of them paid once.

    Where nobody can look up what became of a create call, a person does.
    """
    there = stage.around.cloud

    def over() -> bool:
        job = stage.read("job-status", {"jobId": job_id})["job"]
        if job["phase"] == "submission_uncertain":
            theirs = there.cloud.found(there.emulator, submission_key(job_id, job["attempt"]))
            stage.call("job-resolve", {"jobId": job_id, "providerJobId": theirs})
        return bool(job["finishedUs"])

    stage.until(over, f"the end of {job_id}")
    job: Json = stage.read("job-status", {"jobId": job_id})["job"]
    assert job["attempt"] == attempts, job
    if job["provider"] == "simulated":
        accepted = [_remote(stage, job_id, attempt).accepted for attempt in range(1, job["attempt"] + 1)]
        assert set(accepted) == {int(paid)}, f"not paid exactly once: {accepted}"
    return job


def _remote(stage: Harness, job_id: str, attempt: int) -> RemoteJob:
    path = stage.around.daemon.data / "jobs" / "simulated-provider" / f"{submission_key(job_id, attempt)}.json"
    return msgspec.json.decode(path.read_bytes(), type=RemoteJob)


def recipe_over(stage: Harness, run_id: str) -> Json:
    """The run at its end."""

    def run() -> Json:
        [one] = stage.read("recipe-status", {"runId": run_id})["runs"]
        return dict(one)

    stage.until(lambda: run()["endedUs"] is not None, "the end of the recipe")
    return run()


def _lines(stage: Harness, dataset_id: str) -> list[bytes]:
    folder = stage.around.daemon.data / "datasets" / dataset_id
    return [line for path in folder.glob("train*.jsonl") for line in path.read_bytes().splitlines()]
