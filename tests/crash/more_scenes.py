"""Scenes of trouble and of rarer work: refusals and late words of a provider, rows attached, made again and exported.

As in scenes.py each begins and ends in rest. Knows the commands; knows nothing of failpoints.
"""

import json
from collections.abc import Callable, Mapping

import msgspec
from tests.crash.harness import Harness
from tests.crash.kill_world import LONGEST_S
from tests.crash.scenes import (
    LEARNED_AT,
    MODEL_WISH,
    SCENES,
    capture,
    captured,
    create_job,
    ended,
    recipe_over,
    rows_file,
)
from tests.daemon.daemon_process import Json

from genomed.client import Client
from genomed.commands import capture_interaction

AGENTS = 24


def trouble(stage: Harness) -> None:
    """A job that is refused and tried again; one that breaks; one whose provider says what nobody understands."""
    refused = create_job(stage, rejectCreate=True)
    assert ended(stage, refused, paid=False)["status"] == "failed"
    broken = create_job(stage, failAtStep=2)
    assert ended(stage, broken)["status"] == "failed"
    stage.call("job-retry", {"jobId": broken})
    assert ended(stage, broken, attempts=2)["status"] == "succeeded"
    odd = create_job(stage, lostRequest=True, failCreateTimes=1, unknownStatusAtPoll=2, publishFailTimes=1)
    assert ended(stage, odd)["status"] == "succeeded"


def attached(stage: Harness) -> None:
    """Interactions and a file become versions of a draft, under other rules each time; then one origin is forgotten."""
    n = stage.asked
    domain = f"attached {n}"
    kept = [capture(stage, f"attached-{n}", domain=domain, mark=mark) for mark in range(4)]
    for one in kept:
        stage.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "approval"})
    draft = stage.call("dataset-create", {"personaId": "ada", "name": domain, "rowKind": "chat"})["draftId"]
    stage.call("dataset-import", {"draftId": draft, "path": str(rows_file(stage, f"attached-{n}", 8))})
    stage.call("dataset-attach", {"draftId": draft, "method": "sft", "domain": domain})
    stage.call("dataset-split", {"draftId": draft, "evalShare": 0.25, "seed": n})
    frozen = stage.call("dataset-freeze", {"draftId": draft})
    stage.call("dataset-freeze", {"draftId": draft, "cleaning": {"nearDuplicateSimilarity": 0.95}})
    wish = stage.call("forget", {"interactionId": kept[0]["interactionId"]})
    assert wish["interactions"] == 1
    stage.call("dataset-detach", {"draftId": draft, "method": "sft", "domain": domain})
    stage.call("dataset-archive", {"datasetId": frozen["datasetId"], "reason": "done"})


def again(stage: Harness) -> None:
    """A recipe over a file's rows; one of them is made again, and a longer run is given up."""
    inputs = stage.around.daemon.folder / f"numbers-{stage.asked}.jsonl"
    inputs.write_text("".join(f"{json.dumps({'n': n})}\n" for n in range(3)))
    started = stage.call("recipe-run", MODEL_WISH | {"wanted": 3, "inputs": {"path": str(inputs)}})
    assert recipe_over(stage, started["runId"])["rows"] == 3
    shown = stage.read("review-show", {"batchId": started["batchId"]})["items"]
    stage.call("review-decide", {"decision": "regenerate", "itemIds": [shown[0]["itemId"]], "note": "better"})
    pending = {"batchId": started["batchId"], "states": ["pending"]}
    stage.until(lambda: len(stage.read("review-show", pending)["items"]) == 3, "the row that is made again")
    stage.around.model.hold()
    given_up = stage.call("recipe-run", MODEL_WISH | {"wanted": 50})["runId"]
    stage.call("recipe-cancel", {"runId": given_up})
    stage.around.model.release()
    assert recipe_over(stage, given_up)["state"] == "cancelled"


def copies(stage: Harness) -> None:
    """What is written for others: rows, the log, a backup. Nothing of it is an event, so each is a new file."""
    dataset = stage.call("dataset-import", {"personaId": "ada", "path": str(rows_file(stage, f"out-{stage.asked}", 8))})

    def fresh(name: str) -> Callable[[], Json]:
        return lambda: {"path": str(stage.around.daemon.folder / f"{name}-{stage.asked}-{len(stage.history)}")}

    of = {"datasetId": dataset["datasetId"], "format": dataset["format"]}
    rows = fresh("rows")
    stage.attempt("dataset-export", lambda: of | rows())
    stage.attempt("log-export", fresh("log"))
    stage.attempt("log-backup", fresh("backup"))


def tasks(stage: Harness) -> None:
    """A persona whose work nobody judges is set a task, and works on it."""
    n = stage.asked
    persona = f"learner-{n}"
    for mark in range(12):
        capture(stage, f"alone-{n}", domain="untried", mark=mark, persona=persona)

    def opened() -> list[Json]:
        return [dict(one) for one in stage.read("task-list", {"personaId": persona, "state": "open"})["tasks"]]

    stage.until(lambda: bool(opened()), "a task")
    task_id = opened()[0]["taskId"]
    stage.call("task-take", {"taskId": task_id, "takenBy": persona})
    stage.call("task-end", {"taskId": task_id, "outcome": "done"})


def flushed(stage: Harness) -> None:
    """A person asks for the learning, and it fails: the examples come back, once."""
    n = stage.asked
    domain = f"flushed {n}"
    rule = {
        "provider": "simulated",
        "minExamples": 50,
        "template": {"method": {"type": "lora"}, "metadata": {"failAtStep": 1}},
    }
    where = {"personaId": "ada", "domain": domain, "baseModel": "tiny"}
    bucket = stage.call("trigger-set", where | {"rule": rule})["bucketId"]
    for mark in range(LEARNED_AT):
        capture(stage, f"flushed-{n}", domain=domain, mark=mark)
    stage.call("bucket-flush", {"bucketId": bucket})

    def now() -> Json:
        [one] = stage.read("bucket-status", {"bucketId": bucket})["buckets"]
        return dict(one)

    stage.until(lambda: not now()["isLearning"], "the examples")
    assert now()["counts"]["usable"] == LEARNED_AT


def traces(stage: Harness) -> None:
    """Spans of another program become experience: again and again, each of them once."""
    n = stage.asked
    persona = f"traced-{n}"
    path = stage.around.daemon.folder / f"spans-{n}.jsonl"
    path.write_text("".join(f"{json.dumps(_span(n, mark))}\n" for mark in range(3)))
    taken = {"kind": "phoenix_export", "path": str(path), "personaId": persona, "domain": "traces"}
    for _ in range(2):
        stage.attempt("trace-import", lambda: taken)
    kept = [one for one in captured(stage) if one["bucket"]["personaId"] == persona]
    assert len(kept) == 3


def _span(n: int, mark: int) -> Json:
    return {
        "name": "answer",
        "context": {"trace_id": f"t{n}-{mark}", "span_id": f"s{n}-{mark}"},
        "span_kind": "LLM",
        "start_time": f"2026-11-20T08:00:{mark:02}Z",
        "end_time": f"2026-11-20T08:00:{mark:02}.500000Z",
        "status_code": "OK",
        "attributes": {"input.value": f"{n}+{mark}", "output.value": f"{n + mark}", "session.id": f"traced-{n}"},
    }


def crowd(stage: Harness) -> None:
    """Many agents at once, each with the client of the house, which asks again by itself: commits are shared."""
    socket = str(stage.around.daemon.socket)
    said = {"personaId": "ada", "domain": "crowd", "baseModel": "tiny", "output": "yes"}
    wishes = {f"{stage.asked}-{agent}": said | {"input": f"{stage.asked} {agent}"} for agent in range(AGENTS)}

    async def agent(key: str) -> None:
        async with Client(socket, patience_s=LONGEST_S) as genome:
            params = msgspec.convert(wishes[key], capture_interaction.Params)
            await genome.call(capture_interaction, params, key=key)

    under_way = [stage.around.portal.start_task_soon(agent, key) for key in wishes]

    def all_answered() -> bool:
        stage.read("overview")
        return all(one.done() for one in under_way)

    stage.until(all_answered, "the crowd")
    for one, (key, wish) in zip(under_way, wishes.items(), strict=True):
        one.result()
        stage.adopt("capture-interaction", wish, key)
    stage.asked += 1


def consents(stage: Harness) -> None:
    """What a person allows a persona to send to a provider, and takes back."""
    wish = {"personaId": f"guest-{stage.asked}", "provider": "simulated"}
    stage.call("consent-give", wish)
    stage.call("consent-withdraw", wish)


MORE = (trouble, attached, again, copies, tasks, flushed, traces, crowd, consents)

ALL_SCENES: Mapping[str, Callable[[Harness], None]] = {
    **SCENES,
    **{scene.__name__: scene for scene in MORE},
}
