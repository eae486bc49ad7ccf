"""contradiction: the label follows from values, dates and confidences that the row itself shows."""

import json
from collections import Counter
from datetime import date

import msgspec
import pytest
from tests.recipes.rig import ScriptedModel, planned, produced, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, WorkItem
from genomed.entities.rows import ChatRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes.contradiction import RECIPE, STRATEGY, Label, Params, Record

PARAMS = Params()


def item(label: Label) -> WorkItem:
    data: dict[str, object] = {
        "label": label.value,
        "subject": "Žofia Ek",
        "predicate": "lives_in",
        "value": "the name of a town",
        "group": "g",
    }
    return WorkItem(key="0", seed=3, data=data)


def saying(first: str, second: str) -> ScriptedModel:
    return ScriptedModel(*said(first, second))


def said(*towns: str) -> tuple[str, ...]:
    told = ({"text": f"Žofia Ek lives in {town}, {n}.", "object": town} for n, town in enumerate(towns))
    return tuple(json.dumps(one) for one in told)


def record(label: Label, /, **changes: object) -> Candidate:
    """A good record of the label, changed."""
    days = {Label.SUPERSEDES: "2022-06-01", Label.CONTRADICTS: "2020-03-01", Label.AMBIGUOUS: "2020-02-01"}
    other = "Oslo" if label is Label.AGREES else "Łódź"
    data: dict[str, object] = {
        "factA": fact("Oslo", 0.9, "2020-01-01", "Žofia Ek lives in Oslo."),
        "factB": fact(other, 0.5 if label is Label.CONTRADICTS else 0.8, days.get(label, "2020-05-05"),
                      f"One finds Žofia Ek in {other}."),
        "label": label.value,
        "strategy": STRATEGY[label],
    }  # fmt: skip
    return Candidate(row=RecordRow(task="contradiction", data={**data, **changes}))


def fact(town: str, confidence: float, day: str, text: str, subject: str = "Žofia Ek") -> dict[str, object]:
    told = {"subject": subject, "predicate": "lives_in", "object": town, "text": text}
    return {**told, "confidence": confidence, "timestamp": day}


@pytest.mark.parametrize("label", Label)
def test_a_good_record_of_every_label_passes(label: Label) -> None:
    assert reasons(RECIPE, record(label), item(label), PARAMS) == ""


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("seed", range(40))
async def test_drawn_dates_and_confidences_always_fit_the_label(label: Label, seed: int) -> None:
    drawn = WorkItem(key="0", seed=seed, data=item(label).data)
    made = await produced(RECIPE, drawn, PARAMS, saying("Oslo", "Oslo" if label is Label.AGREES else "Łódź"))
    assert reasons(RECIPE, made, drawn, PARAMS) == ""


@pytest.mark.parametrize("label", [Label.SUPERSEDES, Label.CONTRADICTS, Label.AMBIGUOUS])
async def test_values_that_do_not_differ_are_asked_for_again_and_then_refused(label: Label) -> None:
    model = ScriptedModel(*said("Oslo", "OSLO") * 3)
    made = await produced(RECIPE, item(label), PARAMS, model)
    assert "must differ" in reasons(RECIPE, made, item(label), PARAMS)
    assert len(model.asked) == 6
    assert made.confidence == 0.7


async def test_an_agreement_that_names_another_value_is_refused() -> None:
    made = await produced(RECIPE, item(Label.AGREES), Params(tries=1), saying("Oslo", "Łódź"))
    assert "must be the same" in reasons(RECIPE, made, item(Label.AGREES), PARAMS)


@pytest.mark.parametrize(
    ("label", "changes", "reason"),
    [
        (Label.SUPERSEDES, {"factB": fact("Łódź", 0.8, "2020-12-31", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.SUPERSEDES, {"factB": fact("Łódź", 0.8, "2015-01-01", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.CONTRADICTS, {"factB": fact("Łódź", 0.6, "2020-02-01", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.CONTRADICTS, {"factB": fact("Łódź", 0.1, "2020-07-15", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.AMBIGUOUS, {"factB": fact("Łódź", 0.9, "2020-04-15", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.AMBIGUOUS, {"factB": fact("Łódź", 0.6, "2020-01-15", "Žofia Ek: Łódź.")}, "do not fit the label"),
        (Label.AGREES, {"strategy": "temporal"}, "strategy does not follow"),
        (Label.AGREES, {"factB": fact("Oslo", 0.8, "2020-01-01", "Žofia Ek lives in Oslo.")}, "same text"),
        (Label.AGREES, {"factB": fact("Oslo", 0.8, "2020-01-01", "She lives there.")}, "lacks its subject"),
        (Label.AGREES, {"factA": fact("x", 0.8, "2020-01-01", "x")}, "too short"),
        (Label.AGREES, {"factA": fact("Oslo", 0.8, "2020-01-01", "Bo: Oslo.", "Bo")}, "different things"),
        (Label.AGREES, {"label": "ambiguous", "strategy": "ambiguous"}, "not the one that was planned"),
        (Label.AGREES, {"label": "perhaps"}, "shape of Record at $.label"),
        (Label.AGREES, {"factA": fact("Oslo", 1.2, "2020-01-01", "x")}, "shape of Record at $.factA.confidence"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(label: Label, changes: dict[str, object], reason: str) -> None:
    told = reasons(RECIPE, record(label, **changes), item(label), PARAMS)
    assert reason in told
    assert "Oslo" not in told
    assert "perhaps" not in told


def test_labels_come_in_the_promised_shares() -> None:
    seen = Counter(str(one.data["label"]) for one in planned(RECIPE, Params(spare=1), wanted=4000))
    for label, share in zip(Label, PARAMS.weights, strict=True):
        assert abs(seen[label] / 4000 - share) < 0.03


def test_the_answer_follows_from_what_the_user_shows() -> None:
    made = record(Label.CONTRADICTS)
    (row,) = RECIPE.compile(made.row, RowKind.CHAT, PARAMS)
    assert isinstance(row, ChatRow)
    shown = json.loads(row.messages[1].text)
    assert set(shown) == {"factA", "factB"}
    assert {"confidence", "timestamp", "object", "text"} <= set(shown["factA"])
    assert json.loads(row.messages[2].text) == {"label": "contradicts", "strategy": "confidence"}


async def test_a_reviewers_words_reach_the_model() -> None:
    model = saying("Oslo", "Łódź")
    given_tools = tools(RECIPE, item(Label.SUPERSEDES), ask=model)
    made = await RECIPE.again(
        record(Label.SUPERSEDES).row, item(Label.SUPERSEDES), PARAMS, given_tools, feedback="dull"
    )
    assert made is not None
    assert all("dull" in messages[-1].text for messages in model.asked)


def test_lists_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no label"):
        planned(RECIPE, Params(supersedes=0, contradicts=0, ambiguous=0, agrees=0))
    with pytest.raises(InvalidRequest, match="without names"):
        planned(RECIPE, Params(names={"planet": ("Mars",)}))


def test_days_are_days() -> None:
    row = record(Label.AGREES).row
    assert isinstance(row, RecordRow)
    assert msgspec.convert(row.data, Record).fact_a.timestamp == date(2020, 1, 1)
