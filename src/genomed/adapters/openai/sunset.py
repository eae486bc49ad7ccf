"""The announced end of OpenAI's self-serve fine-tuning, and what it means on a given day. Pure.

It holds for OpenAI itself: other servers of the same shape have their own plans. A model's own last day may also come
with the server's model list, and then that is the one that counts.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from genomed.adapters.openai.objects import ModelObject
from genomed.adapters.openai.settings import plain_model
from genomed.entities.capabilities import BaseModelOffer, Sunset
from genomed.entities.errors import Problem

ANNOUNCED = Sunset(
    message=(
        "OpenAI closes self-serve fine-tuning: since 2 July 2026 an organisation without inference on a fine-tuned "
        "model in the last 60 days can create no job, after 6 January 2027 none can, and fine-tunes stop answering "
        "together with their base model"
    ),
    source="https://developers.openai.com/api/docs/deprecations, as of 20 November 2026",
    last_new_job="2027-01-06",
    models={
        "gpt-4o": "2027-01-14",
        "gpt-4o-mini": "2027-01-14",
        "gpt-4.1": "2027-01-14",
        "gpt-4.1-mini": "2027-01-14",
        "gpt-4o-2024-05-13": "2026-10-23",
        "gpt-4.1-nano": "2026-10-23",
        "gpt-3.5-turbo": "2026-10-23",
        "o4-mini": "2026-10-23",
    },
)
"""The day itself counts as the last: no hour was announced."""

REMEDY = "train it on another provider: genome/job-migrate"


def last_day(model: str) -> str | None:
    """Of answers by what is trained from it; the longest beginning wins. Null: none is announced."""
    name = plain_model(model)
    known = [prefix for prefix in ANNOUNCED.models if name.startswith(prefix)]
    return ANNOUNCED.models[max(known, key=len)] if known else None


def offers(now_us: int) -> tuple[BaseModelOffer, ...]:
    """The families that can be fine-tuned, as far as they are known here; others may be."""
    return tuple(
        BaseModelOffer(name=name, note=f"what is trained from it answers until {day}")
        for name, day in ANNOUNCED.models.items()
        if _today(now_us) <= day
    )


def reachable(listed: Sequence[ModelObject], now_us: int) -> tuple[BaseModelOffer, ...]:
    """Of what OpenAI lists, the members of these families: its list also holds what nobody can fine-tune."""
    found = []
    for model in listed:
        family = next((name for name in ANNOUNCED.models if _is_version(model.id, name)), None)
        told = model.shutdown_date
        day = told if told is not None and _is_day(told) else last_day(model.id)
        if family is not None and day is not None and _today(now_us) <= day:
            found.append(BaseModelOffer(name=model.id, note=f"what is trained from it answers until {day}"))
    return tuple(found)


def _is_version(name: str, family: str) -> bool:
    """`gpt-4o-2024-08-06` is a gpt-4o; `gpt-4o-transcribe` is something else."""
    return re.fullmatch(rf"{re.escape(family)}(-\d{{4}}(-\d{{2}}-\d{{2}})?)?", name) is not None


def refusals(model: str, now_us: int) -> list[Problem]:
    """What is over by that day. That an end is near, the core says of every provider's announcement."""
    found = []
    if (end := ANNOUNCED.last_new_job) and _today(now_us) > end:
        message = f"OpenAI took its last new fine-tuning job on {end} ({ANNOUNCED.source})"
        found.append(Problem(field="provider", message=message, remedy=REMEDY))
    return found + told_of_model(model, last_day(model), now_us)[0]


def told_of_model(model: str, end: str | None, now_us: int) -> tuple[list[Problem], list[Problem]]:
    """end: the ISO day on which what is trained from it stops answering."""
    if end is None or not _is_day(end):
        return [], []
    if _today(now_us) > end:
        message = f"{model} was shut down on {end}, and with it what is trained from it"
        return [Problem(field="model.baseModel", message=message, remedy=REMEDY)], []
    message = f"what is trained from {model} stops answering after {end}"
    return [], [Problem(field="model.baseModel", message=message, remedy=REMEDY)]


def _today(now_us: int) -> str:
    return datetime.fromtimestamp(now_us / 1e6, UTC).date().isoformat()


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
