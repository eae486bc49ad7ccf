"""What must never reach a training file, planted among good rows: it is left out, counted, and named."""

from pathlib import Path

import pytest
from tests.daemon.dataset_bench import (
    folders,
    freezing,
    frozen,
    generated,
    lesson,
    lines,
    nearly,
    prose,
    questions,
    step,
)

from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import Lesson
from genomed.entities.errors import InvalidRequest
from genomed.entities.rows import ChatRow, Message, row_id

SECRET = "AKIA" + "IOSFODNN7EXAMPLE"
GOOD = [lesson(prose(n, 30), prose(f"a{n}", 30)) for n in range(40)]


def word_counter(folder: Path) -> str:
    """A base model whose tokens are words."""
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder.mkdir()
    model.save(str(folder / "tokenizer.json"))
    return str(folder)


def words_in(folder: Path, dataset_id: str) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in (folder / dataset_id).iterdir())


async def test_every_step_that_was_asked_for_is_recorded_even_when_it_found_nothing(tmp_path: Path) -> None:
    made = await frozen(
        DatasetStore(tmp_path),
        GOOD,
        personal_data="redact",
        max_tokens=1000,
        max_self_generated_share=0.5,
        max_source_share=0.5,
    )
    assert [(one.step, one.examined, one.removed, one.changed) for one in made.steps] == [
        (name, 40, 0, 0)
        for name in (
            "secrets",
            "personal_data",
            "empty_turns",
            "role_order",
            "sense",
            "length",
            "exact_duplicates",
            "near_duplicates",
            "self_generated_share",
            "source_share",
            "train_eval_overlap",
        )
    ]


async def test_a_planted_secret_reaches_no_file(tmp_path: Path) -> None:
    planted = lesson("where is the key?", f"it is {SECRET}, keep it")
    made = await frozen(DatasetStore(tmp_path), [*GOOD, planted])
    assert SECRET not in words_in(tmp_path, made.dataset_id)
    found = step(made, "secrets")
    assert (found.examined, found.removed, found.rows) == (41, 1, (row_id(planted.row),))


async def test_a_secret_is_masked_where_the_rules_say_so(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [*GOOD, lesson("key?", f"it is {SECRET}")], secrets="redact")
    words = words_in(tmp_path, made.dataset_id)
    assert SECRET not in words
    assert "it is [aws_access_key]" in words
    assert (step(made, "secrets").removed, step(made, "secrets").changed) == (0, 1)


async def test_personal_data_is_kept_masked_or_left_out_as_the_rules_say(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [*GOOD, lesson("who?", "ada@example.org")]
    kept, masked, dropped = [await frozen(store, rows, personal_data=what) for what in ("keep", "redact", "drop")]
    assert "ada@example.org" in words_in(tmp_path, kept.dataset_id)
    assert "ada@example.org" not in words_in(tmp_path, masked.dataset_id)
    assert masked.rows + masked.eval_rows == 41
    assert dropped.rows + dropped.eval_rows == 40
    assert step(dropped, "personal_data").removed == 1


async def test_masking_that_makes_two_answers_the_same_leaves_nothing_to_learn_and_no_duplicate(tmp_path: Path) -> None:
    rows = [lesson("who?", "write to ada@example.org"), lesson("who?", "write to bob@example.org")]
    made = await frozen(DatasetStore(tmp_path), [*GOOD, *rows], personal_data="redact")
    assert step(made, "exact_duplicates").removed == 1


async def test_equal_rows_stand_once_and_the_first_of_them_stays(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [*GOOD, *GOOD, *GOOD])
    assert (made.rows + made.eval_rows, made.duplicates) == (40, 80)
    assert step(made, "exact_duplicates").removed == 80
    assert step(made, "exact_duplicates").rows[:2] == (row_id(GOOD[0].row), row_id(GOOD[1].row))


async def test_rows_that_say_nearly_the_same_are_left_out_but_for_the_first(tmp_path: Path) -> None:
    question, answer = prose("q"), prose("a")
    copies = [lesson(nearly(question, n), answer) for n in range(5)]
    made = await frozen(DatasetStore(tmp_path), [*GOOD, lesson(question, answer), *copies], 0)
    assert step(made, "near_duplicates").removed == 5
    assert [one for one in questions(tmp_path, made.dataset_id) if "changed" in one] == []
    assert question in questions(tmp_path, made.dataset_id)


async def test_another_question_about_the_same_long_text_is_no_near_duplicate(tmp_path: Path) -> None:
    text = prose("context", 300)
    rows = [lesson(f"{text} What of {word}?", f"{word} is {prose(word, 12)}") for word in ("bread", "water", "salt")]
    made = await frozen(DatasetStore(tmp_path), rows, 0)
    assert made.rows == 3


async def test_rows_that_share_a_long_system_turn_are_no_near_duplicates(tmp_path: Path) -> None:
    rules = prose("rules", 500)
    rows = [
        Lesson(
            row=ChatRow(
                messages=(
                    Message(role="system", content=rules),
                    Message(role="user", content=f"{n}+{n}"),
                    Message(role="assistant", content=f"{2 * n}"),
                )
            ),
            group=f"g{n}",
            origin=f"int-{n}",
        )
        for n in range(20)
    ]
    assert (await frozen(DatasetStore(tmp_path), rows, 0)).rows == 20


async def test_a_flood_from_one_source_is_cut_to_its_share_and_the_same_rows_go_every_time(tmp_path: Path) -> None:
    def of(source: str, count: int) -> list[Lesson]:
        return [lesson(prose(f"{source}{n}", 30), source=source) for n in range(count)]

    rows = [*of("flood", 300), *of("b", 20), *of("c", 20), *of("d", 20)]
    made = await frozen(DatasetStore(tmp_path / "one"), rows, 0, max_source_share=0.4)
    again = await frozen(DatasetStore(tmp_path / "two"), rows, 0, max_source_share=0.4)
    sources = [line["source"] for line in lines(tmp_path / "one" / made.dataset_id / "lineage.jsonl")]
    assert sources.count("flood") == 40  # of 100
    assert step(made, "source_share").removed == 260
    assert made == again


async def test_two_sources_are_no_flood(tmp_path: Path) -> None:
    rows = [lesson(prose(n, 30), source="a" if n else "b") for n in range(30)]
    made = await frozen(DatasetStore(tmp_path), rows, 0, max_source_share=0.5)
    assert made.rows == 30
    assert "2 sources" in str(step(made, "source_share").note)


async def test_rows_that_recipes_wrote_never_pass_their_share(tmp_path: Path) -> None:
    rows = [*GOOD, *(generated(lesson(prose(f"made{n}", 30))) for n in range(200))]
    made = await frozen(DatasetStore(tmp_path), rows, max_self_generated_share=0.2)
    assert made.self_generated == 10
    assert made.rows + made.eval_rows == 50
    assert step(made, "self_generated_share").removed == 190


async def test_an_answer_that_should_be_json_and_is_not_goes(tmp_path: Path) -> None:
    rows = [lesson("a", '{"x": 1}'), lesson("b", "[1, 2]"), lesson("c", "not json"), lesson("d", '{"x": ')]
    made = await frozen(DatasetStore(tmp_path), rows, 0, expect_json=True)
    assert (made.rows, step(made, "json").removed) == (2, 2)


async def test_a_row_longer_than_the_context_goes_and_the_step_says_how_it_was_measured(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [*GOOD, lesson(prose("long", 2000))], max_tokens=500)
    assert step(made, "length").removed == 1
    assert "estimated at 4 bytes a token" in str(step(made, "length").note)


async def test_a_model_s_own_tokenizer_counts_where_it_lies_on_this_machine(tmp_path: Path) -> None:
    model = word_counter(tmp_path / "base")
    rows = [lesson("w " * 40, "a"), lesson("w " * 42, "b")]
    made = await frozen(DatasetStore(tmp_path / "d"), rows, 0, max_tokens=42, tokenizer=model)
    assert (made.rows, step(made, "length").removed) == (1, 1)
    assert "counted by the tokenizer" in str(step(made, "length").note)


async def test_a_tokenizer_that_is_not_here_is_said_to_be_missing(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), GOOD, max_tokens=5000, tokenizer="nobody/has-this")
    assert "there is no tokenizer.json of nobody/has-this on this machine" in str(step(made, "length").note)


async def test_rows_whose_turns_are_out_of_order_or_say_nothing_go(tmp_path: Path) -> None:
    def row(*turns: tuple[str, str]) -> Lesson:
        messages = tuple(Message(role=role, content=content) for role, content in turns)
        return Lesson(row=ChatRow(messages=messages), group=str(turns), origin=str(turns))

    bad = [
        row(("assistant", "a")),
        row(("user", "a"), ("user", "b"), ("assistant", "c")),
        row(("user", "  "), ("assistant", "a")),
    ]
    made = await frozen(DatasetStore(tmp_path), [*GOOD, *bad])
    assert (step(made, "role_order").removed, step(made, "empty_turns").removed) == (2, 1)


async def test_when_no_row_is_left_it_is_said_which_step_took_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no row is left; what each step took: length 40"):
        await frozen(DatasetStore(tmp_path), GOOD, max_tokens=1)
    assert folders(tmp_path) == set()


async def test_a_rehearsal_tells_what_a_freeze_would_make_and_keeps_nothing(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    told = await store.rehearse(GOOD, freezing())
    assert folders(tmp_path) == set()
    assert await store.freeze(GOOD, freezing()) == told
