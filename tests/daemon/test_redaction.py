"""What nobody redacted where it was said is redacted before it is kept or answered."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.daemon.daemon_rig import running

from genomed.daemon.secrets.redaction import without_secrets
from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import ErrorBody, ErrorKind, Problem
from genomed.entities.events import JobFailed, JobNoted
from genomed.entities.types import EventLevel

KEY = 'k3y-/+"\\-of-ours'


@pytest.fixture
async def store() -> SecretStore:
    store = SecretStore({"KEY": KEY, "WORD": "internal"})
    await store.reveal("env:KEY")
    return store


async def test_texts_at_every_depth_are_redacted_and_the_rest_is_left(store: SecretStore) -> None:
    problem = Problem(field="provider", message=f"{KEY} twice: {KEY}", remedy=None)
    body = ErrorBody(kind=ErrorKind.INTERNAL, message=f"with {KEY}", retryable=True, details=(problem,))
    clean = without_secrets(JobFailed(attempt=3, error=body), store.redact)
    assert KEY not in repr(clean)
    assert (clean.attempt, clean.error.message) == (3, "with [secret env:KEY]")
    assert clean.error.details[0].message == "[secret env:KEY] twice: [secret env:KEY]"


async def test_also_where_the_secret_was_quoted_within_a_quotation(store: SecretStore) -> None:
    quoted = msgspec.json.encode({"told": KEY}).decode()
    note = JobNoted(level=EventLevel.INFO, code="c", message=f"the answer was {quoted}")
    assert "k3y" not in repr(without_secrets(note, store.redact))


@pytest.mark.parametrize("spelt", [str, repr, lambda key: msgspec.json.encode(key).decode()])
async def test_a_secret_is_suspected_and_redacted_however_it_is_spelt(store: SecretStore, spelt: Any) -> None:
    text = f"<{spelt(KEY)}>"
    assert store.suspects(msgspec.json.encode(text))
    assert "k3y" not in store.redact(text)
    assert not store.suspects(b"harmless")


async def test_what_holds_none_is_the_same_object(store: SecretStore) -> None:
    note = JobNoted(level=EventLevel.INFO, code="c", message="harmless")
    assert without_secrets(note, store.redact) is note


async def test_a_word_of_ours_is_no_secret(store: SecretStore) -> None:
    """A key that is spelt like a kind of error would make the log unreadable."""
    await store.reveal("env:WORD")
    body = ErrorBody(kind=ErrorKind.INTERNAL, message="m", retryable=False)
    assert without_secrets(body, store.redact) == body


async def test_the_log_keeps_no_secret_whoever_writes(tmp_path: Path) -> None:
    async with running(tmp_path / "d", environment={"KEY": KEY}, courier=False) as rig:
        job_id = await rig.create_job()
        await rig.parts.providers._secrets.reveal("env:KEY")
        note = JobNoted(level=EventLevel.ERROR, code="c", message=f"RuntimeError: {KEY}")
        write = Write(stream=f"job/{job_id}", expected=-1, events=(note,))
        await rig.journal.append([write], cause=Cause(actor="daemon"))
        [kept] = await rig.events(f"job/{job_id}", JobNoted)
        assert kept.message == "RuntimeError: [secret env:KEY]"
        assert (await rig.call("log-verify"))["ok"] is True


async def test_a_refusal_repeats_no_secret(tmp_path: Path) -> None:
    async with running(tmp_path / "d", environment={"KEY": KEY}) as rig:
        await rig.parts.providers._secrets.reveal("env:KEY")
        refused = await rig.refused("provider-capabilities", {"provider": KEY})
        assert KEY not in repr(refused)
