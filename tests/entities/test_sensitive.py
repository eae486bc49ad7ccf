"""What has the form of a credential or of personal data is found; what only looks a little like it is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.rows import ChatRow, Message, PreferenceRow, Row, line_of, row_id, row_of_line
from genomed.entities.sensitive import credentials_in, masked
from genomed.entities.types import RowKind


def chat(answer: str, question: str = "who?") -> ChatRow:
    return ChatRow(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def preference(worse: str) -> PreferenceRow:
    def said(role: str, text: str) -> tuple[Message, ...]:
        return (Message(role=role, content=text),)

    return PreferenceRow(prompt=said("user", "q"), chosen=said("assistant", "a"), rejected=said("assistant", worse))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("openai_key", "sk-proj-" + "a1B2" * 8),
        ("aws_access_key", "AKIA" + "ABCDEFGH12345678"),
        ("github_token", "ghp_" + "a1" * 18),
        ("huggingface_token", "hf_" + "aB" * 17),
        ("private_key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("json_web_token", "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJlMTIz"),
        ("google_key", "AIza" + "b" * 35),
    ],
)
def test_a_credential_is_found_wherever_it_stands_in_a_row(kind: str, text: str) -> None:
    assert credentials_in(chat(f"use {text}, please")) == {kind: 1}
    assert credentials_in(chat("fine", question=text)) == {kind: 1}
    assert credentials_in(preference(f"{text} {text}")) == {kind: 2}


@pytest.mark.parametrize("text", ["sk-8 skates", "the task-force-of-the-north-and-south", "AKIA", "eyJ is base64", ""])
def test_words_are_no_credentials(text: str) -> None:
    assert credentials_in(chat(text)) == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "ada.lovelace+notes@example.co.uk"),
        ("card_number", "4111 1111 1111 1111"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB29NWBK60161331926819"),
        ("us_social_security_number", "078-05-1120"),
        ("phone_number", "+49 30 901820"),
        ("phone_number", "+1 (415) 555-0132"),
    ],
)
def test_personal_data_is_replaced_by_its_kind_and_counted(kind: str, text: str) -> None:
    row, counts = masked(chat(f"write to {text}."))
    assert (row, counts) == (chat(f"write to [{kind}]."), {kind: 1})
    assert masked(preference(text))[0] == preference(f"[{kind}]")


@pytest.mark.parametrize(
    "text", ["order 4111 1111 1111 1112", "version 1.2.3", "DE00 3704 0044 0532 0130 00", "2026-11-21", "a@b", "7+8=15"]
)
def test_numbers_without_their_check_digit_and_other_signs_are_left_alone(text: str) -> None:
    row = chat(text)
    assert masked(row) == (row, {})


@given(st.text(max_size=200))
def test_masking_again_finds_nothing_more(text: str) -> None:
    once, _ = masked(chat(text))
    assert masked(once)[1] == {}


@given(st.sampled_from([chat("a"), chat('\u00e9\n"', "?"), preference("b")]))
def test_a_line_of_a_dataset_reads_back_as_its_row(row: Row) -> None:
    kind = RowKind.CHAT if isinstance(row, ChatRow) else RowKind.PREFERENCE
    assert row_of_line(line_of(row, row_id(row)), kind) == row


@pytest.mark.parametrize("line", [b"", b"{}", b'{"id":"short","messages":[]}', b'{"id":"' + b"0" * 64 + b"}"])
def test_a_line_of_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of a frozen dataset"):
        row_of_line(line, RowKind.CHAT)
