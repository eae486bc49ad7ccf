"""Why no answer came: told as certainly not sent, or as a doubt. Pure.

Knows aiohttp's failures. Its texts quote no address in full, since signed ones hold secrets.
"""

from collections.abc import Callable
from ssl import SSLError

import aiohttp
from yarl import URL

UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
FAILURES = (aiohttp.ClientError, TimeoutError, ConnectionError, SSLError)


class Unsent(Exception):
    """Nothing of the request left this machine for the service: no such host, refused, no TLS."""


class Lost(Exception):
    """Sent, at least in part, and no whole answer came: what it did is unknown."""


def failure(method: str, url: URL, failed: BaseException, *, redact: Callable[[str], str]) -> Unsent | Lost:
    where, why = f"{method} {place(url)}", _why(failed)
    if isinstance(failed, UNSENT):
        return Unsent(redact(f"{where}: not sent: {why}"))
    return Lost(redact(f"{where}: no whole answer: {why}"))


def place(url: URL) -> str:
    """Without user and query."""
    return f"{url.host}{f':{url.explicit_port}' if url.explicit_port else ''}{url.path}"


def _why(failed: BaseException) -> str:
    """Never the library's own text where that may quote the address."""
    match failed:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted here"
        case aiohttp.ClientConnectorError():
            return failed.os_error.strerror or type(failed.os_error).__name__
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "the address cannot be read"
        case OSError() if failed.strerror:
            return failed.strerror
        case TimeoutError():
            return "it took too long"
        case _:
            return type(failed).__name__
