"""Cleaning of one row at a time: privacy first, then form, then sense and length. Pure but for its counts.

Each step takes a row and gives it back, changed or not, or nothing. Every step that the rules ask for is told, also
when it found nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.row_fitness import empty_turns, role_order, senseless
from genomed.entities.rows import ChatRow, LabelledRow, PreferenceRow, Row, row_id
from genomed.entities.sensitive import credentials_in, masked, texts, without_credentials

FEW_ROWS = 10
"""Of a step's rows, so many are named; the counts are of all."""

BYTES_PER_TOKEN = 4
"""Where no tokenizer is at hand. OpenAI, "What are tokens and how to count them": about 4 characters of English."""

ESTIMATED = f"estimated at {BYTES_PER_TOKEN} bytes a token"

TokenCounter = Callable[[str], int]
RowStep = Callable[[Row], Row | None]


@dataclass(kw_only=True)
class Tally:
    """What one step did so far. ids: of the first few rows."""

    step: str
    note: str | None = None
    examined: int = 0
    removed: int = 0
    changed: int = 0
    ids: tuple[str, ...] = ()

    def concern(self, identity: str) -> None:
        if len(self.ids) < FEW_ROWS:
            self.ids += (identity,)

    def told(self) -> CleaningStep:
        return CleaningStep(
            step=self.step,
            examined=self.examined,
            removed=self.removed,
            changed=self.changed,
            note=self.note,
            rows=self.ids,
        )


class RowCleaning:
    """The steps that the rules ask for. count_tokens: null estimates; counted_by: how, in words."""

    def __init__(
        self, rules: CleaningRules, *, count_tokens: TokenCounter | None = None, counted_by: str | None = None
    ) -> None:
        self._steps = list(_asked_for(rules, count_tokens, counted_by))

    def cleaned(self, row: Row) -> Row | None:
        """The row as it may be trained on; None when a step took it."""
        for tally, step in self._steps:
            tally.examined += 1
            made = step(row)
            if made is row:
                continue
            tally.concern(row_id(row))
            if made is None:
                tally.removed += 1
                return None
            tally.changed += 1
            row = made
        return row

    def told(self) -> tuple[CleaningStep, ...]:
        return tuple(tally.told() for tally, _ in self._steps)


def _asked_for(
    rules: CleaningRules, count_tokens: TokenCounter | None, counted_by: str | None
) -> Iterator[tuple[Tally, RowStep]]:
    if rules.secrets != "keep":
        yield Tally(step="secrets", note=rules.secrets), _without_secrets if rules.secrets == "redact" else _no_secret
    if rules.personal_data != "keep":
        redact = rules.personal_data == "redact"
        yield Tally(step="personal_data", note=rules.personal_data), _without_persons if redact else _no_person
    if rules.empty_turns:
        yield Tally(step="empty_turns"), lambda row: None if empty_turns(row) else row
    if rules.role_order:
        yield Tally(step="role_order"), lambda row: None if role_order(row) else row
    yield Tally(step="sense"), lambda row: None if senseless(row) else row
    if rules.expect_json:
        yield Tally(step="json"), lambda row: row if answers_in_json(row) else None
    if rules.max_tokens is not None:
        note = f"at most {rules.max_tokens} tokens, {counted_by or ESTIMATED}"
        yield Tally(step="length", note=note), _short_enough(rules.max_tokens, count_tokens)


def _without_secrets(row: Row) -> Row | None:
    return without_credentials(row)[0]


def _no_secret(row: Row) -> Row | None:
    return None if credentials_in(row) else row


def _without_persons(row: Row) -> Row | None:
    return masked(row)[0]


def _no_person(row: Row) -> Row | None:
    return None if masked(row)[1] else row


def answers_in_json(row: Row) -> bool:
    """Whether the answer to learn is JSON; a row whose kind has no answer in words promises none."""
    match row:
        case ChatRow():
            last = row.messages[-1] if row.messages else None
        case PreferenceRow():
            last = row.chosen[-1] if row.chosen else None
        case LabelledRow():
            if not row.label:
                return True  # what is to be avoided need not be JSON
            last = row.completion[-1] if row.completion else None
        case _:
            return True
    if last is None:
        return False
    if last.content is None:
        return bool(last.tool_calls)  # whose arguments are checked as JSON with the row's sense
    try:
        msgspec.json.decode(last.content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def tokens_of(row: Row, count_tokens: TokenCounter | None) -> int:
    """Of all its texts; what a chat template adds is not counted."""
    if count_tokens is None:
        return -(-sum(len(text.encode()) for _, text in texts(row)) // BYTES_PER_TOKEN)
    return sum(count_tokens(text) for _, text in texts(row))


def _short_enough(most: int, count_tokens: TokenCounter | None) -> RowStep:
    def step(row: Row) -> Row | None:
        if sum(len(text) for _, text in texts(row)) * 4 <= most:  # no text has more tokens than bytes
            return row
        return row if tokens_of(row, count_tokens) <= most else None

    return step
