"""A layer beside its base, really judged: the same numbers as the job's own, row by row, and a page to look at."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.training import test_projection as projection
from tests.training.asking import Asking
from tests.training.conftest import Job, Json, Line, make_chat_rows, make_preference_rows
from tests.training.encoder_jobs import build_encoder, encoder_spec, new_job, pairs, triplet_spec, triplets
from tests.training.forged_worker import done
from tests.training.vector_task import BASE_MODEL

pytestmark = pytest.mark.training

HELD = 12


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Job:
    """A layer that has learned a little, so that its losses are other than the base's."""
    folder = tmp_path_factory.mktemp("evaluated")
    job = Job(folder, tiny_model_dir)
    rows = make_chat_rows(24 + HELD)
    judge = {"baselineLayer": None, "maxNewTokens": 4, "samples": HELD}
    job.run(job.spec(rows[:24], rows[24:], judge=judge, optimizer={"learningRate": 3e-2}))
    return job


def evaluated(job: Job, folder: Path, *, rows: Path, changes: Json, code: int = 0) -> list[Json]:
    folder.mkdir()
    options: Json = {
        "title": "<layer> against base", "rowKind": "chat", "rows": str(rows), "count": HELD,
        "baseModel": str(job.model), "revision": None,
        "candidate": {"name": "layer", "layer": str(job.result)}, "baseline": {"name": "base", "layer": None},
        "precision": "fp32", "batchSize": 4, "maxNewTokens": 4, "beta": 0.1, "k": 10, "resamples": 200, "seed": 1,
    }  # fmt: skip
    names = ("progress.jsonl", "control.json", "worker.json", "heartbeat", "result")
    errand = {
        "errand": "evaluate", "errandId": "errand-1", "offline": True, "threads": 1, "options": options | changes,
        "paths": {name.partition(".")[0]: str(folder / name) for name in names},
    }  # fmt: skip
    (folder / "errand.json").write_text(json.dumps(errand))
    done(["errand", str(folder / "errand.json")], folder=folder, code=code)
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


class Page(HTMLParser):
    """Balanced, and asking nobody for anything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        self.pictures += tag == "svg"
        if tag not in ("meta", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line", "circle"):
            assert self.open.pop() == tag


def test_an_evaluation_gives_the_jobs_own_numbers_row_by_row_and_a_page(trained: Job, tmp_path: Path) -> None:
    lines = evaluated(trained, tmp_path / "e", rows=trained.folder / "eval.jsonl", changes={})
    result = tmp_path / "e" / "result"
    report = json.loads((result / "report.json").read_bytes())
    outcomes = [json.loads(line) for line in (result / "outcomes.jsonl").read_text().splitlines()]
    judged = {line["side"]: line for line in trained.lines() if line["type"] == "judged"}
    for side in ("candidate", "baseline"):
        assert report[side]["metrics"]["loss"] == pytest.approx(judged[side]["loss"], rel=1e-4)
        assert report[side]["score"] == judged[side]["exactMatch"]
    assert [one["id"] for one in outcomes] == [f"row-{at}" for at in range(24, 24 + HELD)]
    assert sum(one["candidate"]["loss"] < one["baseline"]["loss"] for one in outcomes) == HELD
    assert (report["wins"] + report["losses"] + report["ties"], report["test"]) == (HELD, "mcnemar")
    assert report["interval"][0] <= report["difference"] <= report["interval"][1]
    assert lines[-1]["type"] == "finished"
    assert sorted(dict(lines[-1]["files"])) == ["outcomes.jsonl", "report.html", "report.json"]  # type: ignore[call-overload]
    assert lines[-1]["facts"] == report
    page = (result / "report.html").read_text()
    seen = Page(page)
    assert (seen.open, seen.pictures) == ([], 3)
    assert "&lt;layer&gt; against base" in page


def answers(line: Line) -> list[object]:
    samples = line["samples"]
    assert isinstance(samples, list)
    return [sample["answer"] for sample in samples]


def test_what_is_judged_is_word_for_word_what_inference_says(trained: Job, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (trained.folder / "eval.jsonl").read_text().splitlines()]
    judged = {str(line["side"]): answers(line) for line in trained.of("judged")}
    asking = Asking(tmp_path, trained.model)
    said = {
        side: [asking.ask(messages=row["messages"][:-1], layer=layer, maxNewTokens=4)[1]["text"] for row in rows]
        for side, layer in (("candidate", str(trained.result)), ("baseline", None))
    }
    asking.end()
    assert said == judged
    assert said["candidate"] != said["baseline"], "the layer of this test changes nothing"


def test_preference_rows_are_compared_against_the_base_model(trained: Job, tmp_path: Path) -> None:
    rows = trained.rows("pairs.jsonl", make_preference_rows(HELD, seed=5))
    evaluated(trained, tmp_path / "p", rows=rows, changes={"rowKind": "preference"})
    report = json.loads((tmp_path / "p" / "result" / "report.json").read_bytes())
    assert (report["metric"], report["baseline"]["metrics"]["rewardMargin"]) == ("rewardAccuracy", 0.0)
    assert report["candidate"]["metrics"]["rewardMargin"] != 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"count": 5}, "gave 12 outcomes, wanted 5"), ({"resamples": "many"}, "resamples")],
    ids=["rows", "options"],
)
@pytest.mark.long
def test_what_does_not_fit_is_refused_and_leaves_no_result(
    trained: Job, tmp_path: Path, changes: Json, words: str
) -> None:
    lines = evaluated(trained, tmp_path / "x", rows=trained.folder / "eval.jsonl", code=1, changes=changes)
    assert (lines[-1]["type"], lines[-1]["kind"]) == ("failed", "invalid_request")
    assert words in str(lines[-1]["message"])
    assert not (tmp_path / "x" / "result").exists()


def told(job: Job, folder: Path, **changes: object) -> Json:
    """report.json of an evaluation on the rows that the job was judged by."""
    evaluated(job, folder, rows=job.folder / "eval.jsonl", changes=changes)
    found = json.loads((folder / "result" / "report.json").read_bytes())
    assert isinstance(found, dict)
    return found


def demand_the_jobs_numbers(job: Job, report: Json, sides: tuple[str, ...] = ("candidate", "baseline")) -> None:
    for line in job.of("judged"):
        if line["side"] not in sides:
            continue
        side, measured = report[str(line["side"])], line["metrics"]
        assert isinstance(side, dict)
        assert isinstance(measured, dict)
        for name in measured.keys() & side["metrics"].keys():
            assert side["metrics"][name] == pytest.approx(measured[name], rel=1e-4, abs=1e-6), name
        assert side["score"] == pytest.approx(measured[str(report["metric"])], rel=1e-4)


@pytest.mark.long
def test_an_encoder_is_compared_question_by_question(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job", build_encoder(tmp_path / "encoder", "encoder"))
    job.run(triplet_spec(job, embedding={"matryoshka": [32, 16]}))
    held = len(triplets(24, held_out=True))
    report = told(job, tmp_path / "e", rowKind="triplet", count=held, batchSize=16, dimensions=[16, 32])
    assert (report["metric"], report["test"], report["conclusion"]) == ("ndcg", "sign", "better")
    demand_the_jobs_numbers(job, report)
    candidate = report["candidate"]
    assert isinstance(candidate, dict)
    assert {"retention@32", "retention@16", "ndcg@32", "ndcg@16"} <= candidate["metrics"].keys()
    changes: Json = {"rowKind": "triplet", "count": held, "dimensions": [64]}
    lines = evaluated(job, tmp_path / "w", rows=job.folder / "eval.jsonl", changes=changes, code=1)
    assert (lines[-1]["type"], lines[-1]["kind"]) == ("failed", "invalid_request")
    assert "64 is no part" in str(lines[-1]["message"])


@pytest.mark.long
def test_a_reranker_is_compared_pair_by_pair(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job", build_encoder(tmp_path / "cross", "cross-encoder"))
    rows = pairs(16)
    job.run(encoder_spec(job, rows, rows, "ranking", schedule={"epochs": 8}))
    report = told(job, tmp_path / "r", rowKind="ranking", count=len(rows), batchSize=16)
    assert (report["metric"], report["test"], report["rows"]) == ("accuracy", "mcnemar", len(rows))
    demand_the_jobs_numbers(job, report)


@pytest.mark.long
def test_a_projection_is_compared_with_one_that_learned_nothing(tmp_path: Path) -> None:
    job = projection.new_job(tmp_path / "job")
    job.run(projection.specify(job))
    report = told(job, tmp_path / "v", rowKind="vector_pair", count=100, baseModel=BASE_MODEL)
    assert (report["metric"], report["conclusion"]) == ("cosine", "better")
    demand_the_jobs_numbers(job, report, ("candidate",))
