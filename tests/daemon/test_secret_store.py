"""Secrets are read where they are, each time, by those who may, and never told again."""

import base64
import json
import logging
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from genomed.daemon.secrets.secret_store import LONGEST_BYTES, RedactingFilter, SecretStore, crash_report
from genomed.entities.errors import MissingCredentials

VALUE = 'sk-1/2+3 "four"=five'


def secret_file(path: Path, text: str = VALUE, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return f"file:{path}"


async def test_a_secret_is_read_from_the_environment_a_credential_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text(f"{VALUE}\n")
    store = SecretStore({"ACME": VALUE, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    for reference in ("env:ACME", "cred:acme", secret_file(tmp_path / "own", f"{VALUE}\n")):
        assert await store.present(reference)
        assert await store.reveal(reference) == VALUE


async def test_a_changed_secret_is_used_at_once(tmp_path: Path) -> None:
    environment = {"ACME": "first-value"}
    store, reference = SecretStore(environment), secret_file(tmp_path / "own", "first-value")
    assert [await store.reveal("env:ACME"), await store.reveal(reference)] == ["first-value"] * 2
    environment["ACME"] = "second-value"
    secret_file(tmp_path / "own", "second-value")
    assert [await store.reveal("env:ACME"), await store.reveal(reference)] == ["second-value"] * 2
    assert store.redact("first-value second-value") == f"[secret {reference}] [secret {reference}]"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
async def test_a_file_that_others_may_touch_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    reference = secret_file(tmp_path / "own", mode=mode)
    with pytest.raises(MissingCredentials, match=f"mode {mode:04o}") as told:
        await SecretStore({}).reveal(reference)
    assert told.value.remedy == f"chmod 600 {tmp_path / 'own'}"
    assert not await SecretStore({}).present(reference)


async def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = secret_file(tmp_path / "own")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(MissingCredentials, match="another user"):
        await SecretStore({}).reveal(reference)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("env:NONE", "not set"),
        ("env:EMPTY", "not set"),
        ("env:TWO_LINES", "line break"),
        ("cred:acme", "systemd"),
        ("keyring:acme", "names no service"),
        ("file:relative/path", "absolute"),
        ("file:/nowhere/at/all", "No such file"),
        ("file:/dev/null", "not a plain file"),
        ("sk-the-secret-itself", "none of these"),
    ],
)
async def test_a_secret_that_cannot_be_had_is_told_with_a_remedy(reference: str, told: str) -> None:
    store = SecretStore({"EMPTY": " ", "TWO_LINES": "a\nX-Injected: b"})
    with pytest.raises(MissingCredentials, match=told) as failed:
        await store.reveal(reference)
    assert failed.value.remedy
    assert "sk-the-secret-itself" not in f"{failed.value} {failed.value.remedy}"
    assert not await store.present(reference)


async def test_a_credentials_name_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "other").write_text(VALUE)
    with pytest.raises(MissingCredentials, match="plain name"):
        await SecretStore({"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}).reveal("cred:../other")


async def test_a_pipe_or_an_endless_file_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(MissingCredentials, match="plain file"):
        await SecretStore({}).reveal(f"file:{tmp_path / 'pipe'}")
    with pytest.raises(MissingCredentials, match="longer than"):
        await SecretStore({}).reveal(secret_file(tmp_path / "long", "x" * (LONGEST_BYTES + 1)))


async def test_what_was_revealed_is_taken_out_of_texts_in_every_spelling() -> None:
    store = SecretStore({"ACME": VALUE})
    assert store.redact(VALUE) == VALUE
    await store.reveal("env:ACME")
    for spelt in (VALUE, quote(VALUE, safe=""), json.dumps(VALUE)):
        told = store.redact(f"before {spelt} after")
        assert "[secret env:ACME]" in told
        assert spelt.strip('"') not in told
    assert VALUE not in f"{store!r} {store}"


async def test_the_longest_of_two_secrets_is_taken_out_whole() -> None:
    store = SecretStore({"SHORT": "abcdef", "LONG": "abcdefghij"})
    await store.reveal("env:SHORT")
    await store.reveal("env:LONG")
    assert store.redact("abcdefghij abcdef") == "[secret env:LONG] [secret env:SHORT]"


async def test_a_value_too_short_to_be_a_secret_does_not_eat_ordinary_words() -> None:
    store = SecretStore({"ACME": "the"})
    assert await store.reveal("env:ACME") == "the"
    assert store.redact("the other") == "the other"


async def test_being_present_reveals_nothing() -> None:
    store = SecretStore({"ACME": VALUE})
    assert await store.present("env:ACME")
    assert store.redact(VALUE) == VALUE


async def test_a_log_line_holds_no_secret_in_its_words_its_arguments_or_its_exception() -> None:
    store = SecretStore({"ACME": VALUE})
    await store.reveal("env:ACME")
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Kept()
    handler.addFilter(RedactingFilter(store))
    log = logging.getLogger("genomed.test_secret_store.child")
    log.propagate = False
    log.addHandler(handler)
    try:
        log.error("sent %s", {"key": VALUE})
        log.error("sent " + VALUE, stack_info=True)  # noqa: G003 -- as careless code would
        try:
            raise RuntimeError(VALUE) from ValueError(VALUE)
        except RuntimeError:
            log.exception("failed with %s and %d", VALUE, 3)
    finally:
        log.removeHandler(handler)
    assert len(lines) == 3
    assert [line for line in lines if VALUE in line or json.dumps(VALUE)[1:-1] in line] == []
    assert "RuntimeError: [secret env:ACME]" in lines[2]
    assert "failed with [secret env:ACME] and 3" in lines[2]


async def test_reading_secrets_does_not_hold_up_the_daemon(tmp_path: Path, no_blocking: None) -> None:
    descriptor = os.open(tmp_path / "own", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, base64.b64encode(b"a secret of some length"))
    os.close(descriptor)
    assert await SecretStore({}).reveal(f"file:{tmp_path / 'own'}")


async def test_the_last_words_of_a_crash_hold_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    store = SecretStore({"ACME": VALUE})
    await store.reveal("env:ACME")
    error = RuntimeError(f"cannot go on with {VALUE}")
    error.__cause__ = KeyError(VALUE)
    crash_report(store)(RuntimeError, error, None)
    told = capsys.readouterr().err
    assert "RuntimeError: cannot go on with [secret env:ACME]" in told
    assert VALUE not in told
