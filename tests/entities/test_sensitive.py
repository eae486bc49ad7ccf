"""What has the form of a credential or of personal data is found; what only looks a little like it is left alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.row_making import ROWS

from genomed.entities.rows import (
    ChatRow,
    FunctionCall,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    ToolCall,
    TripletRow,
    VectorPairRow,
    canonical,
    row_of_line,
)
from genomed.entities.sensitive import (
    credential_findings,
    credentials_in,
    masked,
    personal_data_in,
    personal_findings,
    without_credentials,
)
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


@pytest.mark.parametrize("line", [b"", b"{}", b'{"id":"short","messages":[]}', b'{"id":"' + b"0" * 64 + b"}"])
def test_a_line_of_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of a frozen dataset"):
        row_of_line(line, RowKind.CHAT)


KEY, MAIL = "sk-proj-" + "a1B2" * 8, "ada@example.org"


def calling(arguments: str) -> ChatRow:
    call = ToolCall(id="c", function=FunctionCall(name="send", arguments=arguments))
    return ChatRow(messages=(Message(role="assistant", content=None, tool_calls=(call,)),))


def everywhere(text: str) -> list[Row]:
    tool: dict[str, object] = {"type": "function", "function": {"name": "send", "description": text}}
    said = (Message(role="user", content="q"),)
    return [
        chat(text),
        calling(json.dumps({"deep": [{"to": text}]})),
        calling(f"not JSON: {text}"),
        ChatRow(messages=said, tools=(tool,)),
        PreferenceRow(prompt=said, chosen=said, rejected=said, tools=(tool,)),
        preference(text),
        LabelledRow(prompt=(Message(role="user", content=text),), completion=said, label=True),
        LabelledRow(prompt=said, completion=(Message(role="assistant", content=text),), label=False),
        RaftRow(question=text, documents=("d",), answer="a"),
        RaftRow(question="q", documents=("d", text), answer="a"),
        RaftRow(question="q", documents=("d",), answer=text),
        TripletRow(anchor="a", positive="p", negatives=("n", text)),
        RankingRow(query="q", document=text, label=1),
        VectorPairRow(input=(1.0,), target=(1.0,), text=text),
        RecordRow(task="t", data={"deep": [{"to": text}]}),
        RecordRow(task="t", data={text: 1}),
    ]


@pytest.mark.parametrize("row", everywhere(f"use {KEY} now"))
def test_a_credential_is_found_and_taken_out_of_every_kind_of_row(row: Row) -> None:
    assert credentials_in(row) == {"openai_key": 1}
    clean, counts = without_credentials(row)
    assert counts == {"openai_key": 1}
    assert credentials_in(clean) == {}
    assert KEY.encode() not in canonical(clean)
    assert type(clean) is type(row)


@pytest.mark.parametrize("row", everywhere(f"write to {MAIL} now"))
def test_personal_data_is_found_and_masked_in_every_kind_of_row(row: Row) -> None:
    assert personal_data_in(row) == {"email": 1}
    clean, counts = masked(row)
    assert counts == {"email": 1}
    assert MAIL.encode() not in canonical(clean)
    assert masked(clean) == (clean, {})


@given(ROWS)
def test_a_row_without_secrets_is_the_same_row(row: Row) -> None:
    assert without_credentials(row)[0] is row
    assert masked(row)[0] is row


def test_arguments_stay_json_and_keep_their_letters_where_nothing_is_found() -> None:
    same = calling('{"n": 1.50,  "to": "nobody"}')
    assert masked(same)[0] is same
    clean, _ = masked(calling('{"card": 4111111111111111, "to": "\\u0061da@example.org"}'))
    assert isinstance(clean, ChatRow)
    calls = clean.messages[0].tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"card": "[card_number]", "to": "[email]"}


def test_no_value_is_lost_where_two_keys_are_masked_alike() -> None:
    clean, _ = masked(RecordRow(task="t", data={MAIL: 1, "bob@example.org": 2}))
    assert clean == RecordRow(task="t", data={"[email]": 1, "[email] 2": 2})


def test_a_private_key_is_taken_out_whole() -> None:
    begin, end = "-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----"
    clean, _ = without_credentials(chat(f"here: {begin}\nDEK-Info: AES-128-CBC,00\n\nMIIEow+/=\n{end} keep it"))
    assert clean == chat("here: [private_key] keep it")
    assert without_credentials(chat(f"here: {begin}\nMIIEow+/=\nMIIE"))[0] == chat("here: [private_key]")


def test_a_finding_says_where_it_stands() -> None:
    (finding,) = credential_findings(calling(json.dumps({"deep": [{"to": f"use {KEY}"}]})))
    assert finding.field == "messages[0].tool_calls[0].function.arguments.deep[0].to"
    assert (finding.start, finding.end) == (4, 4 + len(KEY))
    (found,) = personal_findings(RankingRow(query="q", document=f"to {MAIL}", label=0))
    assert (found.kind, found.field, found.start) == ("email", "document", 3)


def test_a_time_in_a_record_is_no_card_number() -> None:
    row = RecordRow(task="t", data={"at": 1732170000000, "at_us": 1732170000000000, "big": 10**30})
    assert masked(row)[0] is row
