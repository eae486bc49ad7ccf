"""What must not leave the house in training rows: credentials, and personal data. Pure; finds and masks.

Patterns are those that the issuers document for their own keys; numbers with a check digit are checked, so that a
long number is not taken for a card. It finds what has a form; a name or an address has none and is not found.
"""

import re
from collections.abc import Callable
from re import Pattern

from msgspec.structs import replace

from genomed.entities.rows import ChatRow, Message, Row

_CREDENTIALS: dict[str, Pattern[str]] = {
    "private_key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "openai_key": re.compile(r"\bsk-(?:proj-|svcacct-|admin-|ant-)?[A-Za-z0-9_-]{20,}"),
    "fireworks_key": re.compile(r"\bfw_[A-Za-z0-9]{20,}"),
    "huggingface_token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "github_token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
    "gitlab_token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "aws_access_key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "google_key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "slack_token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "stripe_key": re.compile(r"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    "json_web_token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
}


def _card_number(text: str) -> bool:
    """Luhn (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d if n % 2 == 0 else d * 2 - 9 * (d > 4) for n, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    """Mod 97 (ISO 13616)."""
    compact = text.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _always(_: str) -> bool:
    return True


_PERSONAL: dict[str, tuple[Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(r"\b[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b"), _always),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), _iban),
    "card_number": (re.compile(r"(?<!\d)(?<!\d\.)\d(?:[ -]?\d){12,18}(?!\.?\d)"), _card_number),
    "us_social_security_number": (
        re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"),
        _always,
    ),
    "phone_number": (
        re.compile(r"(?<![\w.+-])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,12}(?![\w-])"),
        _always,
    ),
}


def credentials_in(row: Row) -> dict[str, int]:
    """Kind -> how often; empty when there is none."""
    counts: dict[str, int] = {}
    for message in _messages(row):
        for kind, pattern in _CREDENTIALS.items():
            if times := len(pattern.findall(message.content)):
                counts[kind] = counts.get(kind, 0) + times
    return counts


def masked(row: Row) -> tuple[Row, dict[str, int]]:
    """The row with personal data replaced by its kind in brackets, and how often each kind was."""
    counts: dict[str, int] = {}

    def clean(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(one, content=_masked_text(one.content, counts)) for one in messages)

    if isinstance(row, ChatRow):
        made: Row = replace(row, messages=clean(row.messages))
    else:
        made = replace(row, prompt=clean(row.prompt), chosen=clean(row.chosen), rejected=clean(row.rejected))
    return (made, counts) if counts else (row, counts)


def _masked_text(text: str, counts: dict[str, int]) -> str:
    for kind, (pattern, real) in _PERSONAL.items():

        def mask(found: re.Match[str], kind: str = kind, real: Callable[[str], bool] = real) -> str:
            if not real(found.group()):
                return found.group()
            counts[kind] = counts.get(kind, 0) + 1
            return f"[{kind}]"

        text = pattern.sub(mask, text)
    return text


def _messages(row: Row) -> tuple[Message, ...]:
    return row.messages if isinstance(row, ChatRow) else (*row.prompt, *row.chosen, *row.rejected)
