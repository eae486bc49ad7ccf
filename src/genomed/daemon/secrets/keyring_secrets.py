"""Secrets from the desktop's keyring, by `keyring:SERVICE/NAME`: Secret Service, KWallet, whatever the library finds.

The library is an extra (`genomed[keyring]`): this module loads when the first such reference is read. A keyring that
keeps its secrets in the open is refused. Knows no other kind of reference.
"""

from collections.abc import Iterator, Sequence

from keyring import get_keyring
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.core import recommended
from keyring.errors import KeyringError

from genomed.entities.errors import MissingCredentials

TROUBLES = (
    *(KeyringError, RuntimeError, OSError, ImportError),
    *(AttributeError, ValueError, TypeError, LookupError),
)
"""The library's own, and what backends by other hands are seen to raise where they are not set up."""

ELSEWHERE = "or keep the secret elsewhere: cred:NAME or file:/absolute/path"


def from_keyring(service: str, name: str, reference: str, *, allow_insecure: bool) -> str:
    """To be called in a thread: a locked keyring may ask a person. Empty where it has nothing of this name.

    allow_insecure: also keyrings that the library itself does not recommend (those of a priority below 1, such as
    plain files). Raises MissingCredentials.
    """
    try:
        backends = _backends(get_keyring())
        fit = [one for one in backends if allow_insecure or recommended(one)]
        if not fit:
            raise _unfit(backends, reference)
        return next(_found(fit, service, name), "")
    except TROUBLES as trouble:
        raise MissingCredentials(
            f"{reference}: the keyring does not answer: {type(trouble).__name__}: {trouble}",
            remedy=f"unlock it and let the daemon reach it, {ELSEWHERE}",
        ) from None


def _backends(chosen: KeyringBackend) -> Sequence[KeyringBackend]:
    """Those that a chain of keyrings would ask one after the other, or the only one."""
    return list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]


def _unfit(backends: Sequence[KeyringBackend], reference: str) -> MissingCredentials:
    if all(isinstance(one, NoKeyring) for one in backends):
        return MissingCredentials(
            f"{reference}: there is no keyring here", remedy=f"start one in the daemon's session, {ELSEWHERE}"
        )
    names = ", ".join(f"{type(one).__module__}.{type(one).__qualname__}" for one in backends)
    return MissingCredentials(
        f"{reference}: {names} is no safe place: the keyring library does not recommend it",
        remedy=f"set up another keyring, {ELSEWHERE}; secrets.insecure_keyring = true takes it as it is",
    )


def _found(backends: Sequence[KeyringBackend], service: str, name: str) -> Iterator[str]:
    for one in backends:
        value = one.get_password(service, name)
        if value is not None:
            yield value
