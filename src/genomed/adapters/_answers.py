"""What a service's refusal means: for a create call an outcome, for everything else an error. Pure.

Reads the error bodies of OpenAI, Together, Fireworks (google.rpc) and Mistral, and bodies that are none of these.
Knows HTTP's numbers; what a provider does with a number differently (409 most of all) is the adapter's to say first.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NoReturn

import msgspec
from msgspec import Struct

from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    Forbidden,
    MissingCredentials,
    NotFound,
    ProviderRejected,
    Transient,
)
from genomed.entities.ports import Ambiguous, Deferred, Rejected

LONGEST_MESSAGE = 1000
LONGEST_CODE = 100
LONGEST_WAIT_S = 86_400.0
LONG_WAIT_S = 3600.0
"""For quotas by the day: asking within the hour is useless, and where their day ends nobody says."""

DAILY = ("daily", "per_day", "insufficient_quota", "billing")
"""In an error's code: the 429 that a short wait does not cure."""

SAY_LATER = frozenset({408, 425, 429})


class Refusal(Struct, frozen=True, kw_only=True):
    """An answer that is no success. code: the service's own word for it, where it has one."""

    status: int
    message: str
    retry_after_s: float | None = None
    code: str | None = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, redact: Callable[[str], str] = str) -> Refusal:
    """headers: names in lower case. redact: takes secrets out of what the service wrote."""
    message, code = _told(body)
    told = redact(message or f"HTTP {status} without a reason")[:LONGEST_MESSAGE]
    word = redact(code)[:LONGEST_CODE] if code is not None else None
    return Refusal(status=status, message=told, retry_after_s=retry_after_s(headers), code=word)


def create_outcome(told: Refusal, provider: str) -> Rejected | Deferred | Ambiguous:
    """What became of a create call. 5xx, 408 and 409 are uncertain: something may have been made."""
    match told.status:
        case 429:
            daily = told.code is not None and any(word in told.code for word in DAILY)
            wait = max(told.retry_after_s or 0.0, LONG_WAIT_S) if daily else told.retry_after_s
            return Deferred(reason=_sentence(told, provider), retry_after_s=wait)
        case 425:
            return Deferred(reason=_sentence(told, provider), retry_after_s=told.retry_after_s)
        case status if status >= 500 or status in {408, 409}:
            return Ambiguous(reason=_sentence(told, provider))
        case _:
            return Rejected(error=rejection(told, provider))


def rejection(told: Refusal, provider: str) -> ErrorBody:
    """A final no, with the remedy where it is the key that is at fault."""
    kinds = {401: ErrorKind.MISSING_CREDENTIALS, 403: ErrorKind.FORBIDDEN}
    return ErrorBody(
        kind=kinds.get(told.status, ErrorKind.PROVIDER_REJECTED),
        message=_sentence(told, provider),
        retryable=False,
        provider=provider,
        remedy=_remedy(told, provider),
    )


def raise_for_reading(told: Refusal, provider: str) -> NoReturn:
    """For calls that change nothing, or that may be made again."""
    message, remedy = _sentence(told, provider), _remedy(told, provider)
    if told.status >= 500 or told.status in SAY_LATER:
        raise Transient(message, retry_after_s=told.retry_after_s, provider=provider)
    match told.status:
        case 401:
            raise MissingCredentials(message, provider=provider, remedy=remedy)
        case 403:
            raise Forbidden(message, provider=provider, remedy=remedy)
        case 404 | 410:
            raise NotFound(message, provider=provider)
        case _:
            raise ProviderRejected(message, provider=provider, remedy=remedy)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The service's own hint in seconds, from Retry-After-Ms or Retry-After; null where it gives none we can read."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return min(milliseconds / 1000, LONGEST_WAIT_S)
    given = headers.get("retry-after")
    if (seconds := _number(given)) is not None:
        return min(seconds, LONGEST_WAIT_S)
    # A date is read against the service's own clock, so that ours need not agree with it.
    try:
        until, now = (parsedate_to_datetime(text) for text in (given or "", headers.get("date", "")))
        return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT_S)
    except (ValueError, TypeError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _sentence(told: Refusal, provider: str) -> str:
    code = f", {told.code}" if told.code else ""
    return f"{provider} answered {told.status}{code}: {told.message}"


def _remedy(told: Refusal, provider: str) -> str | None:
    match told.status:
        case 401:
            return f"{provider} does not know this key: see api_key in the provider's settings"
        case 403:
            return f"this key may not do that at {provider}: use one that may, or ask for the right"
        case 402:
            return f"settle the account's billing at {provider}"
        case status if 300 <= status < 400:
            return "a redirect is not followed with a key in hand: correct base_url in the provider's settings"
        case _:
            return None


def _told(body: bytes) -> tuple[str, str | None]:
    """Message and code, wherever they stand."""
    try:
        tree: object = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return _first_line(body), None
    if not isinstance(tree, dict):
        return str(tree), None
    told = tree.get("error", tree)
    if isinstance(told, str):
        return told, _word(tree.get("code"))
    if not isinstance(told, dict):
        return _first_line(body), None
    detail = told.get("message", told.get("detail"))
    code = _word(told.get("status")) or _word(told.get("code")) or _word(told.get("type"))
    return _sentences(detail) or _first_line(body), code


def _sentences(detail: object) -> str:
    """Mistral tells several at once, each with its place."""
    match detail:
        case str():
            return detail
        case {"detail": inner}:
            return _sentences(inner)
        case list():
            return "; ".join(filter(None, map(_one, detail)))
        case _:
            return ""


def _one(problem: object) -> str:
    match problem:
        case {"loc": [*places], "msg": str(message)}:
            return f"{'.'.join(map(str, places))}: {message}"
        case {"msg": str(message)} | {"message": str(message)} | str(message):
            return message
        case _:
            return ""


def _word(value: object) -> str | None:
    match value:
        case bool() | None:
            return None
        case str() | int():
            return str(value) or None
        case _:
            return None


def _first_line(body: bytes) -> str:
    lines = body.decode(errors="replace").strip().splitlines()
    return lines[0].strip() if lines else ""
