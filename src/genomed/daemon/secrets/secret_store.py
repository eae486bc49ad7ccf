"""Secrets by reference: read anew each time they are needed, known afterwards only to be kept out of texts.

`env:NAME`, `cred:NAME` (a systemd credential), `file:/absolute/path` (nobody else's to read), `keyring:SERVICE/NAME`.
Fulfils ports.Secrets. Knows no provider. Its `repr` tells nothing, and a value is kept for one purpose: `redact`.
"""

import json
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from urllib.parse import quote, quote_plus

from anyio import move_on_after, to_thread

from genomed.daemon.secrets.aside import Aside
from genomed.entities.access_token import PREFIX
from genomed.entities.errors import MissingCredentials

SHORTEST_REDACTED = 6
"""Shorter values would take ordinary words out of every text."""

LONGEST_BYTES = 1 << 16

KINDS = "env:NAME, cred:NAME, file:/absolute/path or keyring:SERVICE/NAME"

KEYRING_S = 30.0
"""A daemon in the background may never get an answer."""

TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{20,}}")
"""A token of ours, whole or cut: known by its form, since nobody keeps its text."""

PLAIN_RUNS = re.compile(r"[A-Za-z0-9_-]+")
"""What no escaping changes."""


class SecretStore:
    """Reads whatever reference it is given: which ones a job may name is decided before (commands.job_building).

    insecure_keyring: whether a keyring that keeps its secrets in the open will do, as the configuration says now.
    keyring_s: how long a locked one may take to ask a person.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        insecure_keyring: Callable[[], bool] = lambda: False,
        keyring_s: float = KEYRING_S,
    ) -> None:
        self._environment = environment
        self._insecure_keyring = insecure_keyring
        self._keyring_s = keyring_s
        self._keyring = Aside[str]("keyring")  # a person who is asked is asked once
        self._forms: tuple[tuple[str, str], ...] = ()  # (how it may be spelt, reference), longest first
        self._cores: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return "SecretStore()"

    async def present(self, reference: str) -> bool:
        try:
            await self._value(reference)
        except MissingCredentials:
            return False
        return True

    async def reveal(self, reference: str) -> str:
        value = await self._value(reference)
        self._remember(value, reference)
        return value

    def redact(self, text: str) -> str:
        for form, reference in self._forms:
            if form in text:
                text = text.replace(form, f"[secret {reference}]")
        return TOKEN.sub("[token]", text) if PREFIX in text else text

    def suspects(self, data: bytes) -> bool:
        """Whether a revealed secret may be in it, however it was escaped on the way; quick, for every event."""
        return PREFIX.encode() in data or any(core in data for core in self._cores)

    async def _value(self, reference: str) -> str:
        kind, _, name = reference.partition(":")
        match kind:
            case "env":
                return _sound(
                    self._environment.get(name, ""), reference, remedy=f"set {name} in the daemon's environment"
                )
            case "cred":
                return await to_thread.run_sync(self._credential, name, reference)
            case "file":
                return await to_thread.run_sync(_own_file, Path(name), reference)
            case "keyring":
                return await self._from_keyring(name, reference)
            case _:
                raise MissingCredentials(
                    f"a secret is named by {KINDS}; what was given is none of these",
                    remedy="give the reference, never the secret itself",
                )

    async def _from_keyring(self, name: str, reference: str) -> str:
        """Whoever is asked to unlock it may be away: then its thread waits on, and we do not."""
        with move_on_after(self._keyring_s):
            value = await self._keyring.ask(partial(_from_keyring, name, reference, self._insecure_keyring()))
            if value is None:
                raise MissingCredentials(f"{reference}: the keyring gave no answer", remedy="see what its library said")
            return value
        raise MissingCredentials(
            f"{reference}: the keyring did not answer in {self._keyring_s:g} seconds",
            remedy="unlock it, then try again",
        )

    def _credential(self, name: str, reference: str) -> str:
        remedy = f"add LoadCredential={name}:/path/of/the/secret to the unit"
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise MissingCredentials(f"{reference}: systemd handed no credentials to this daemon", remedy=remedy)
        if Path(name).name != name:
            raise MissingCredentials(f"{reference}: a credential's name is a plain name", remedy=remedy)
        try:
            with (Path(folder) / name).open("rb") as reader:
                return _text(reader.read(LONGEST_BYTES + 1), reference, remedy=remedy)
        except OSError as trouble:
            raise MissingCredentials(f"{reference}: {trouble.strerror}", remedy=remedy) from None

    def _remember(self, value: str, reference: str) -> None:
        if len(value) < SHORTEST_REDACTED:
            return
        spelt = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
        known = dict(self._forms) | dict.fromkeys(spelt, reference)
        # One assignment: a log line in another thread sees the old forms or the new ones, never half of them.
        self._forms = tuple(sorted(known.items(), key=lambda form: -len(form[0])))
        self._cores |= {max(PLAIN_RUNS.findall(value), key=len, default="").encode()}


class RedactingFilter(logging.Filter):
    """Takes revealed secrets out of a record and its exception. Belongs on handlers: loggers' are not inherited."""

    def __init__(self, secrets: SecretStore) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secrets.redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = "".join(format_exception(*record.exc_info)).rstrip("\n")
        record.exc_info = None  # a formatter would write it out anew
        if record.exc_text:
            record.exc_text = self._secrets.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._secrets.redact(record.stack_info)
        if isinstance(bound := getattr(record, "bound", None), Mapping):  # what daemon.logs noted beside the words
            record.bound = {name: self._secrets.redact(str(value)) for name, value in bound.items()}
        return True


def crash_report(secrets: SecretStore) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """For sys.excepthook: the daemon's last words, without secrets."""

    def report(_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(secrets.redact("".join(format_exception(error.with_traceback(trace)))))

    return report


def _from_keyring(name: str, reference: str, allow_insecure: bool) -> str:
    service, _, user = name.rpartition("/")
    if not service or not user:
        raise MissingCredentials(f"{reference}: names no service", remedy="write keyring:SERVICE/NAME")
    try:
        from genomed.daemon.secrets.keyring_secrets import from_keyring  # noqa: PLC0415  (an extra, for those who name one)
    except ImportError:
        raise MissingCredentials(
            f"{reference}: the keyring library is not installed",
            remedy="pip install 'genomed[keyring]', or use cred:NAME or file:/absolute/path",
        ) from None
    value = from_keyring(service, user, reference, allow_insecure=allow_insecure)
    return _sound(value, reference, remedy=f"keyring set {service} {user}")


def _own_file(path: Path, reference: str) -> str:
    """Looked at once it is open, so that what was checked is what is read."""
    remedy = f"chmod 600 {path}"
    if not path.is_absolute():
        raise MissingCredentials(f"{reference}: the path must be absolute", remedy="write file:/absolute/path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    except OSError as trouble:
        raise MissingCredentials(
            f"{reference}: {trouble.strerror}", remedy=f"put the secret into {path}; {remedy}"
        ) from None
    with os.fdopen(descriptor, "rb") as reader:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise MissingCredentials(f"{reference}: is not a plain file", remedy="name a file that holds the secret")
        if facts.st_uid != os.geteuid():
            raise MissingCredentials(f"{reference}: belongs to another user", remedy=f"chown {os.geteuid()} {path}")
        if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(facts.st_mode)
            raise MissingCredentials(f"{reference}: others may touch it (mode {mode:04o})", remedy=remedy)
        return _text(reader.read(LONGEST_BYTES + 1), reference, remedy=f"put the secret into {path}")


def _text(data: bytes, reference: str, *, remedy: str) -> str:
    if len(data) > LONGEST_BYTES:
        raise MissingCredentials(f"{reference}: is longer than {LONGEST_BYTES} bytes", remedy=remedy)
    try:
        return _sound(data.decode(), reference, remedy=remedy)
    except UnicodeDecodeError:
        raise MissingCredentials(f"{reference}: is not text", remedy=remedy) from None


def _sound(text: str, reference: str, *, remedy: str) -> str:
    """Without the newline that editors end files with. Raises where nothing is left, or more than one line."""
    value = text.strip()
    if not value:
        raise MissingCredentials(f"{reference} is not set", remedy=remedy)
    if not value.isprintable():
        raise MissingCredentials(f"{reference}: holds a line break or a control character", remedy=remedy)
    return value
