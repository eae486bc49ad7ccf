"""An inference worker with a real model: layers switched per request, whole characters, requests taken back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE_S
from tests.training.asking import Asking
from tests.training.plain_peft import NEW_TOKENS, QUESTION

from genomed.training.inference.words import UNFINISHED, Until, Words


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """Folders `one` and `two`, and answers.json."""
    folder = tmp_path_factory.mktemp("layers")
    script = Path(__file__).with_name("plain_peft.py")
    subprocess.run(
        [sys.executable, str(script), str(tiny_model_dir), str(folder)],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
        cwd=Path(__file__).parents[2],
    )
    return folder


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Asking]:
    asking = Asking(tmp_path_factory.mktemp("serve"), tiny_model_dir, layersAtMost=1)
    yield asking
    asking.end()


def test_layers_switched_per_request_answer_as_plain_peft_and_the_base_as_if_there_were_none(
    worker: Asking, layers: Path
) -> None:
    expected = json.loads((layers / "answers.json").read_text())
    assert len(set(expected.values())) == 3, "the layers of this test change nothing"
    for name in ("base", "one", "base", "two", "one", "base"):  # one layer stays loaded at a time
        layer = None if name == "base" else str(layers / name)
        pieces, last = worker.ask(messages=QUESTION, layer=layer)
        assert (name, last["text"], "".join(pieces)) == (name, expected[name], expected[name])
        assert last["completionTokens"] == NEW_TOKENS or last["finishReason"] == "stop"


def test_what_is_measured_is_there(worker: Asking) -> None:
    _, last = worker.ask(messages=QUESTION)
    seconds, first = last["seconds"], last["firstTokenS"]
    assert isinstance(seconds, float)
    assert isinstance(first, float)
    assert 0 < first <= seconds
    assert isinstance(last["memoryBytes"], int)
    assert last["memoryBytes"] > 1 << 20


def test_a_seed_draws_the_same_words_again_and_pieces_are_the_whole(worker: Asking) -> None:
    drawn = [worker.ask(prompt="hello", temperature=1.5, topP=0.9, seed=seed) for seed in (1, 2, 1)]
    texts = [last["text"] for _, last in drawn]
    assert texts[0] == texts[2] != texts[1]
    assert ["".join(pieces) for pieces, _ in drawn] == texts


def test_an_answer_ends_before_its_stop_text(worker: Asking) -> None:
    _, whole = worker.ask(prompt="hello", temperature=1.5, seed=1)
    text = str(whole["text"])
    stop = text[len(text) // 2 :][:2]
    pieces, cut = worker.ask(prompt="hello", temperature=1.5, seed=1, stop=[stop])
    assert (cut["text"], cut["finishReason"]) == (text[: text.index(stop)], "stop")
    assert "".join(pieces) == cut["text"]


def test_a_request_is_taken_back_within_a_token_and_the_next_is_answered(worker: Asking) -> None:
    worker.say(id="long", prompt="hello", maxNewTokens=1_000_000, temperature=1.0, seed=3, stream=True)
    worker.say(id="never", prompt="hello", maxNewTokens=1_000_000, temperature=1.0, seed=3, stream=True)
    assert "text" in worker.heard()
    worker.say(cancel="long")
    worker.say(cancel="never")
    ended: dict[object, object] = {}
    while len(ended) < 2:
        line = worker.heard()
        if "done" in line:
            ended[line["id"]] = line["finishReason"]
        else:
            assert line["id"] == "long", "what was taken back before its turn is not begun"
    assert ended["never"] == "cancelled"
    assert ended["long"] in ("cancelled", "stop", "length")
    assert worker.ask(messages=QUESTION)[1]["done"]


def test_what_it_cannot_answer_it_refuses_and_goes_on(worker: Asking, layers: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "adapter_model.bin").write_bytes(b"")
    for asked, kind in (
        ({"messages": QUESTION, "layer": "/nowhere"}, "invalid_request"),
        ({"messages": QUESTION, "layer": str(pickled)}, "unsupported"),
        ({"messages": [{"role": 1}]}, "invalid_request"),
        ({"messages": QUESTION, "maxNewTokens": 0}, "invalid_request"),
        ({"prompt": "hello " * 5000}, "invalid_request"),
        ({"kind": "embed", "texts": ["hello"]}, "unsupported"),
        ({}, "invalid_request"),
    ):
        _, last = worker.ask(**asked)
        error = last["error"]
        assert isinstance(error, dict)
        assert error["kind"] == kind, (asked, error)
    assert worker.ask(messages=QUESTION)[1]["done"]


@given(st.text(max_size=30), st.binary(max_size=3))
def test_pieces_are_whole_characters_and_together_the_text(text: str, junk: bytes) -> None:
    tokens = [*text.encode(), *junk]
    words = Words(lambda some: bytes(some).decode(errors="replace"))
    pieces = [words.add(token) for token in tokens]
    if not junk and UNFINISHED not in text:
        assert not any(UNFINISHED in piece for piece in pieces)
    assert "".join(pieces) + words.rest() == bytes(tokens).decode(errors="replace")


@given(st.text("abc", max_size=20), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_nothing_from_a_stop_text_on_is_told_however_it_is_cut(text: str, stops: list[str]) -> None:
    until = Until(stops)
    told = "".join(until.add(character) for character in text)
    told += "" if until.reached else until.rest()
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not ends:
        assert told == text
    else:  # the one that is whole first; of those that end together, the longest begins first
        end = min(ends)
        first = min(end - len(stop) for stop in stops if text[:end].endswith(stop))
        assert told == text[:first]
