"""Results as people read them."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genomed.cli.arguments import Json
from genomed.cli.cells import cell
from genomed.cli.render import ids, render
from genomed.cli.sparkline import BLOCKS, sparkline

ID = "layer-01jd0000000000000000000000"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_list_is_a_table_with_aligned_columns_and_says_how_to_see_more() -> None:
    rows: Json = [{"thingId": "a", "note": "long text"}, {"thingId": "bbbb", "note": None, "empty": ""}]
    assert render({"things": rows, "nextCursor": "bbbb", "asOf": 9}) == (
        "THING ID  NOTE\na         long text\nbbbb\nmore: --cursor bbbb"
    )


def test_a_thing_with_an_empty_list_is_still_a_thing() -> None:
    assert render({"jobId": "j", "status": "queued", "warnings": []}) == "jobId   j\nstatus  queued"


def test_simulated_is_a_column_when_something_is() -> None:
    real: Json = {"jobs": [{"jobId": "a", "simulated": False}]}
    one: Json = {"jobs": [{"jobId": "a", "simulated": False}, {"jobId": "b", "simulated": True}]}
    assert "SIMULATED" not in render(real)
    assert "SIMULATED" in render(one)


def test_an_empty_list_says_so() -> None:
    assert render({"activeLayers": [], "nextCursor": None, "asOf": 0}) == "no active layers"


def test_a_thing_is_names_and_values_without_what_is_null() -> None:
    shown = render({"jobId": "j", "done": False, "gone": None, "artifact": {"sizeBytes": 2048, "seconds": 1.5}})
    assert (
        shown == "jobId               j\ndone                no\nartifact.sizeBytes  2.0 KiB\nartifact.seconds    1.5"
    )


def test_a_table_gives_way_in_its_texts_and_never_in_its_ids() -> None:
    row: Json = {"layerId": ID, "path": "p" * 100, "active": True}
    shown = render({"layers": [row]}, columns=70)
    unknown = render({"things": [row]}, columns=70)
    assert all(len(line) <= 70 for line in [*shown.splitlines(), *unknown.splitlines()])
    assert ID in shown
    assert ID in unknown
    assert "p…" in unknown


def test_colour_is_added_around_a_status_and_only_when_asked_for() -> None:
    result: Json = {"jobs": [{"jobId": "j", "status": "failed"}]}
    assert "\x1b" not in render(result)
    assert "\x1b[31mfailed\x1b[0m" in render(result, colour=True)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("createdUs", 1_790_000_000_000_000, "2026-09-21 14:13:20"),
        ("createdAt", 1_790_000_000_000_000, "2026-09-21 14:13:20"),
        ("sizeBytes", 517, "517 B"),
        ("etaS", 70, "1m10s"),
        ("progress", 0.25, "25%"),
        ("progress", {"step": 3, "totalSteps": 12, "loss": 1.0}, "3/12"),
        ("lift", 0.30000000000000004, "0.3"),
        ("max", 4294967295.0, "4294967295"),
        ("ready", True, "yes"),
        ("maxHourlyUsd", 1234.5, "$1,234.50"),
        ("usd", 0, "$0.00"),
        ("estimatedCost", 0.0123, "$0.0123"),
        ("estimatedDuration", 3700, "1h01m"),
        ("methods", ["lora", "full"], "lora, full"),
        ("loss", [{"step": 1, "value": 2.0}, {"step": 2, "value": 1.0}], "█▁ 1 (2 points)"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_what_its_name_says(name: str, value: Json, shown: str) -> None:
    assert cell(name, value) == shown


def test_settings_that_do_not_apply_are_counted_and_those_with_a_reason_are_shown() -> None:
    rows: Json = [
        {"field": "a", "disposition": "sent", "sent": 1},
        {"field": "b", "disposition": "not_applicable"},
        {"field": "c", "disposition": "not_applicable", "note": "since"},
    ]
    assert render({"fields": rows}) == (
        "FIELD  SENT  DISPOSITION     NOTE\n"
        "a      1     sent\n"
        "c            not_applicable  since\n"
        "and 1 that do not apply"
    )


def test_a_payload_is_shown_as_the_json_that_is_sent() -> None:
    shown = render({"jobId": "j", "payload": {"model": "m", "file": "{upload:train}"}, "warnings": []})
    assert shown == 'jobId  j\n\npayload:\n{\n  "model": "m",\n  "file": "{upload:train}"\n}'


def test_findings_are_read_as_sentences_with_what_to_do() -> None:
    finding: Json = {"level": "warning", "about": "job j", "message": "waits", "remedy": "genome/job-approve"}
    shown = render({"ok": False, "findings": [finding]}, columns=20)
    assert shown == "warning: job j: waits\n    what to do: genome/job-approve\nok: no"


def test_compared_answers_stand_one_under_the_other() -> None:
    rows: Json = [
        {
            "prompt": "who?",
            "tuned": {"text": "one\ntwo", "seconds": 1.5, "completionTokens": 2, "keywords": 1},
            "base": {"text": None, "error": "gone"},
            "keywords": 2,
        }
    ]
    assert render({"layerId": "l", "comparisons": rows}).splitlines()[3:] == [
        "> who?",
        "tuned (1.5 s, 2 tokens, 1 of 2 keywords):",
        "    one",
        "    two",
        "base:",
        "    no answer: gone",
    ]


def test_a_list_of_another_shape_is_a_table_whatever_its_name() -> None:
    assert render({"findings": [{"thingId": "a"}]}) == "THING ID\na"


def test_sums_of_a_budget_say_which_window_they_are_of() -> None:
    window: Json = {"settledUsd": 1.0, "reservedUsd": 0, "capUsd": None, "leftUsd": None}
    shown = render(
        {"scopes": [{"kind": "overall", "name": None, "caps": {"jobUsd": 5}, "day": window, "month": window}]}
    )
    assert shown.splitlines()[0].split("  ")[0] == "KIND"
    assert "DAY SPENT  DAY HELD  MONTH SPENT  MONTH HELD" in shown


def test_quiet_ids_are_those_of_the_rows_or_of_the_thing() -> None:
    assert ids({"jobs": [{"jobId": "a", "layerId": "x"}, {"jobId": "b"}]}) == ["a", "b"]
    assert ids({"jobId": "a", "events": [{"eventId": "e"}]}) == ["a"]
    assert ids({"status": "running", "job": {"jobId": "a"}}) == ["a"]
    assert ids({"ok": True}) == []


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=5))
def test_any_result_can_be_shown(result: dict[str, Json]) -> None:
    assert isinstance(render(result, columns=80, colour=True), str)
    assert isinstance(ids(result), list)


@given(st.lists(st.floats()))
@example([1.7e308, -1.7e308])
@example([5e-324, 0.0])
def test_a_sparkline_has_a_block_per_finite_value(values: list[float]) -> None:
    line = sparkline(values)
    assert set(line) <= set(BLOCKS)
    assert len(line) == min(24, sum(1 for value in values if abs(value) < float("inf")))


def test_a_page_of_two_kinds_shows_both_and_one_kind_alone_needs_no_title() -> None:
    drafts: Json = [{"draftId": "dr-1", "name": "sums"}]
    datasets: Json = [{"datasetId": "ds-1", "name": "sums"}]
    page: Json = {"datasets": datasets, "drafts": drafts, "nextCursor": "7", "asOf": 9}
    text = render(page)
    assert text.index("datasets:") < text.index("ds-1") < text.index("drafts:") < text.index("dr-1")
    assert "asOf" not in text
    alone = render({"datasets": [], "drafts": drafts, "nextCursor": None, "asOf": 9})
    assert alone.splitlines()[0].startswith("DRAFT ID")
    assert render({"datasets": [], "drafts": [], "nextCursor": None, "asOf": 9}) == "no datasets"


def test_lists_within_an_object_that_have_columns_are_tables() -> None:
    steps: Json = [{"step": "secrets", "examined": 3, "removed": 1, "changed": 0, "note": None}]
    lines = render({"dataset": {"datasetId": "ds-1", "steps": steps}}).splitlines()
    assert lines[0].split() == ["dataset.datasetId", "ds-1"]
    assert lines[-2].split() == ["STEP", "EXAMINED", "REMOVED", "CHANGED"]
    assert lines[-1].split() == ["secrets", "3", "1", "0"]


def test_of_shown_synthetic_rows_quiet_prints_what_a_decision_takes() -> None:
    assert ids({"batches": [{"batchId": "rev-1"}], "items": [{"itemId": "itm-1", "batchId": "rev-1"}]}) == ["itm-1"]
    assert ids({"batches": [{"batchId": "rev-1"}], "items": []}) == []
    assert ids({"batches": [{"batchId": "rev-1"}], "pending": 3}) == ["rev-1"]


def test_gaps_and_tasks_say_whose_they_are() -> None:
    bucket: Json = {"personaId": "ada", "domain": "sums", "baseModel": "m"}
    gap: Json = {"action": "train", "severity": 0.5, "reason": "weak", "measured": {"bucketId": "b", "bucket": bucket}}
    lines = render({"gaps": [gap]}).splitlines()
    assert lines[0].split()[:3] == ["PERSONA", "ID", "DOMAIN"]
    assert lines[1].split()[:2] == ["ada", "sums"]
    task: Json = {"taskId": "task-1", "bucket": bucket, "kind": "train", "state": "open"}
    assert render({"tasks": [task]}).splitlines()[1].split() == ["task-1", "ada", "sums", "train", "open"]


def test_a_dataset_that_lost_rows_says_how_many_and_others_need_no_column() -> None:
    whole: Json = {"datasetId": "ds-1", "rows": 10, "forgotten": 0}
    tainted: Json = {"datasetId": "ds-2", "rows": 10, "forgotten": 3}
    assert "FORGOTTEN" not in render({"datasets": [whole]})
    lines = render({"datasets": [whole, tainted]}).splitlines()
    assert lines[0].split() == ["DATASET", "ID", "ROWS", "FORGOTTEN"]
    assert lines[2].split() == ["ds-2", "10", "3"]


def test_the_sources_and_versions_of_a_draft_are_tables() -> None:
    draft: Json = {
        "draftId": "dr-1",
        "segments": [{"fileName": "a.jsonl", "format": "openai_chat", "rows": 3, "sizeBytes": 9, "sha256": "0" * 64}],
        "reviews": [{"batchId": "rev-1", "recipe": "sums", "runId": "run-1"}],
        "versions": [{"version": 1, "datasetId": "ds-1", "frozenUs": 5}],
    }
    text = render({"dataset": None, "draft": draft, "preview": [], "lineage": [], "learners": []})
    for title, head in (("segments:", "FILE NAME"), ("reviews:", "BATCH ID"), ("versions:", "VERSION")):
        assert f"{title}\n{head}" in text
    assert "0" * 64 in text


def test_interactions_in_quarantine_say_whose_they_are_who_wrote_them_and_what() -> None:
    held: Json = {
        "interactionId": "int-1", "personaId": "ada", "domain": "support", "bucketId": "bkt-1",
        "writtenBy": ["tool:web"], "capturedUs": 5, "decidedUs": None, "decidedBy": None,
        "input": [{"role": "user", "content": "What does the page say?"}], "output": "Send the key there.",
    }  # fmt: skip
    text = render({"interactions": [held], "total": 1, "asOf": 9, "nextCursor": None})
    for said in ("ada", "tool:web", "What does the page say?", "Send the key there."):
        assert said in text


def test_when_and_why_a_token_was_revoked_are_told_apart() -> None:
    text = render({"tokens": [{"tokenId": "tok-1", "revoked": "lost", "revokedUs": 5}], "asOf": 9})
    assert text.splitlines()[0].split() == ["TOKEN", "ID", "REASON", "REVOKED"]


def test_a_new_token_is_said_to_be_shown_only_once_and_one_that_is_not_shown_is_not() -> None:
    made: dict[str, Json] = {"tokenId": "tok-1", "token": "gnt_x", "personaIds": ["ada"], "role": "capture"}
    assert "shown only once" in render(made).splitlines()[-1]
    assert "once" not in render(made | {"token": None})


def test_an_empty_list_beside_a_count_is_not_worth_a_line() -> None:
    assert render({"released": 1, "already": []}) == "released  1"


def test_runs_of_recipes_fit_a_terminal() -> None:
    numbers: dict[str, Json] = {"rows": 40, "wanted": 100, "itemsDone": 41, "itemsPlanned": 1000, "itemsFailed": 1}
    run: dict[str, Json] = {"runId": "run-1", "recipe": "raft", "version": "1", "personaId": "ada", "state": "running"}
    more: dict[str, Json] = {"requests": 83, "promptTokens": 5000, "usd": 0.25, "seed": 0, "model": "m", "etaS": 61.0}
    head, line = render({"runs": [run | numbers | more], "asOf": 1}).splitlines()
    wanted = "RUN ID RECIPE STATE ROWS WANTED DONE PLANNED FAILED REQUESTS USD ETA"
    assert head.split() == wanted.split()
    assert line.split()[:9] == ["run-1", "raft", "running", "40", "100", "41", "1000", "1", "83"]
    waiting = render({"runs": [run | numbers | more | {"waiting": "small does not answer: refused"}]})
    assert "small does not answer" in waiting


def test_a_new_token_is_what_a_script_gets_since_it_is_said_only_once() -> None:
    assert ids({"tokenId": "tok-1", "token": "gnt_abc"}) == ["gnt_abc"]
    assert ids({"tokenId": "tok-1", "token": None}) == ["tok-1"]


def test_how_fast_something_answers_is_told_in_the_digits_that_matter() -> None:
    asked: Json = {
        "waitedS": 1.4142, "firstTokenS": 0.012345, "trainingS": 190.0, "runS": 0, "tokensPerSecond": 203.1234,
        "speed": {"onnxruntime": {"readTokensPerS": 2452.123, "writeTokensPerS": 7.5}},
    }  # fmt: skip
    assert [line.split()[-1] for line in render(asked).splitlines()] == [
        "1.4s", "12.3ms", "3m10s", "0s", "203.1", "2452", "7.5",
    ]  # fmt: skip


def test_the_facts_of_an_evaluation_are_read_with_the_page_to_look_at() -> None:
    facts: Json = {
        "metric": "exactMatch",
        "candidate": {"score": 0.9791666666, "metrics": {"loss": 0.016251234}, "peakMemoryBytes": 123456789},
        "interval": [0.9375, 1.0],
        "p": 7.105427357601002e-15,
        "versions": {"torch": "2.13.0", "peft": None, "trl": "1.13.0"},
    }
    files: Json = {"report.json": "d" * 64, "report.html": "c" * 64}
    errand: Json = {"errandId": "errand-1", "path": "/data/exports/errand-1", "files": files, "facts": facts}
    told, measured = render({"errand": errand}).split("\n\nfacts:\n")
    assert told.splitlines() == [
        "errand.errandId  errand-1",
        "errand.path      /data/exports/errand-1",
        "errand.files     report.html, report.json",
        "errand.page      /data/exports/errand-1/report.html",
    ]
    assert measured.splitlines() == [
        "interval                   0.9375, 1",
        "p                          7.10543e-15",
        "metric                     exactMatch",
        "candidate.score            0.979167",
        "candidate.metrics.loss     0.0162512",
        "candidate.peakMemoryBytes  117.7 MiB",
        "versions                   torch 2.13.0, trl 1.13.0",
    ]


def test_a_page_that_is_gone_is_not_pointed_at() -> None:
    shown = render({"errand": {"errandId": "errand-1", "path": None, "files": {"report.html": "c" * 64}}})
    assert "page" not in shown


def test_what_was_noted_of_an_errand_is_a_table_of_its_own() -> None:
    notes: Json = [{"code": "slower", "message": "the int8 graph is slower here than the one before"}]
    shown = render({"errand": {"errandId": "errand-1", "notes": notes}})
    assert shown == (
        "errand.errandId  errand-1\n\nnotes:\n"
        "CODE    MESSAGE\nslower  the int8 graph is slower here than the one before"
    )
