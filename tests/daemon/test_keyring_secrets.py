"""Secrets from a keyring: real backends of the keyring library, chosen the way it documents; ours is as it is."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked
from tests.patience import PATIENCE_S

from genomed.daemon.secrets.secret_store import SecretStore
from genomed.entities.errors import MissingCredentials

VALUE = "kept-in-memory-0123456789"


class InMemory(KeyringBackend):
    """A keyring that lives as long as the test. priority: the library recommends those of 1 and more."""

    priority: float = 5.0  # pyright: ignore[reportIncompatibleVariableOverride]  # as the library documents it

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's own is not annotated
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class InTheOpen(InMemory):
    priority = 0.5  # as the plain files of keyrings.alt


class Locked(InMemory):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("nobody unlocked it")


class Silent(InMemory):
    """Asks a person who does not come, until the test is over."""

    over = Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.over.wait()
        return None


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


def use(backend: KeyringBackend) -> KeyringBackend:
    keyring.set_keyring(backend)
    keyring.set_password("acme/train", "api", VALUE)
    return backend


async def refusal(reference: str, store: SecretStore | None = None) -> MissingCredentials:
    with pytest.raises(MissingCredentials) as refused:
        await (store or SecretStore({})).reveal(reference)
    assert refused.value.remedy
    assert VALUE not in str(refused.value) + str(refused.value.remedy)
    return refused.value


async def test_a_secret_of_the_keyring_is_read_and_taken_out_of_texts_from_then_on() -> None:
    use(InMemory())
    store = SecretStore({})
    assert await store.present("keyring:acme/train/api")
    assert await store.reveal("keyring:acme/train/api") == VALUE, "the last part is the name, the rest the service"
    assert store.redact(f"sent {VALUE}") == "sent [secret keyring:acme/train/api]"
    keyring.set_password("acme/train", "api", "another-value-1")
    assert await store.reveal("keyring:acme/train/api") == "another-value-1", "read anew each time"


@pytest.mark.parametrize("reference", ["keyring:acme", "keyring:/api", "keyring:acme/"])
async def test_a_reference_needs_a_service_and_a_name(reference: str) -> None:
    assert "names no service" in (await refusal(reference)).message


async def test_what_the_keyring_does_not_have_is_not_set() -> None:
    use(InMemory())
    refused = await refusal("keyring:acme/other")
    assert (refused.message, refused.remedy) == ("keyring:acme/other is not set", "keyring set acme other")


async def test_a_keyring_that_keeps_secrets_in_the_open_is_refused_unless_the_operator_says_so() -> None:
    use(InTheOpen())
    refused = await refusal("keyring:acme/train/api")
    assert "InTheOpen" in refused.message
    assert "secrets.insecure_keyring" in str(refused.remedy)
    allowed = SecretStore({}, insecure_keyring=lambda: True)
    assert await allowed.reveal("keyring:acme/train/api") == VALUE


async def test_where_there_is_no_keyring_that_is_said() -> None:
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]  # as above
    assert "there is no keyring here" in (await refusal("keyring:acme/api")).message
    allowed = SecretStore({}, insecure_keyring=lambda: True)
    assert "does not answer" in (await refusal("keyring:acme/api", allowed)).message


async def test_a_locked_keyring_is_a_sentence() -> None:
    keyring.set_keyring(Locked())
    assert "KeyringLocked: nobody unlocked it" in (await refusal("keyring:acme/api")).message


async def test_a_keyring_that_waits_for_a_person_holds_nobody_up_for_ever() -> None:
    keyring.set_keyring(Silent())
    store = SecretStore({}, keyring_s=0.05)
    try:
        assert "did not answer" in (await refusal("keyring:acme/api", store)).message
        assert "did not answer" in (await refusal("keyring:acme/api", store)).message, "and nobody is asked twice"
    finally:
        Silent.over.set()


SILENT = """
from time import sleep
from keyring.backend import KeyringBackend

class Silent(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        sleep(24 * 3600)

    def set_password(self, service, username, password):
        pass
"""


def test_a_keyring_that_nobody_answers_for_keeps_no_daemon_from_ending(tmp_path: Path) -> None:
    (tmp_path / "silent_keyring.py").write_text(SILENT)
    program = """
import anyio
import genomed.daemon.secrets.secret_store as store
from genomed.entities.errors import MissingCredentials
async def main():
    try:
        await store.SecretStore({}, keyring_s=0.05).reveal("keyring:acme/api")
    except MissingCredentials as refused:
        print(refused.message)
anyio.run(main)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "silent_keyring.Silent"},
        timeout=PATIENCE_S,
        check=True,
    )
    assert "did not answer" in told.stdout


async def test_a_keyring_that_breaks_in_a_way_of_its_own_is_told_and_can_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, store = use(InMemory()), SecretStore({})
    noted = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: noted.set())
    monkeypatch.setattr(broken, "get_password", lambda *_: 1 / 0)
    assert "gave no answer" in (await refusal("keyring:acme/train/api", store)).message
    said = await anyio.to_thread.run_sync(noted.wait, PATIENCE_S)
    assert said, "with its trace, for whoever looks at what the daemon said"
    monkeypatch.undo()
    assert await store.reveal("keyring:acme/train/api") == VALUE


def test_the_library_loads_for_the_first_reference_alone_and_its_absence_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError('as if it were not installed')\n")
    program = """
import sys
import anyio
import genomed.daemon.secrets.secret_store as store
from genomed.entities.errors import MissingCredentials
assert "keyring" not in sys.modules and "genomed.daemon.secrets.keyring_secrets" not in sys.modules
async def main():
    try:
        await store.SecretStore({}).reveal("keyring:acme/api")
    except MissingCredentials as refused:
        print(refused.message, "|", refused.remedy)
anyio.run(main)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        timeout=PATIENCE_S,
        check=True,
    )
    assert told.stdout.startswith(
        "keyring:acme/api: the keyring library is not installed | pip install 'genomed[keyring]'"
    )
