"""Asking a judge whether a passage answers a question: the filter of retrieval recipes."""

from msgspec import Struct

from genomed.curation.json_answers import json_object
from genomed.entities.recipe_port import Tools
from genomed.recipes._records import asked, read, turns
from genomed.recipes._wording import filled


class _Verdict(Struct, frozen=True):
    answers: bool


async def answers(tools: Tools, query: str, text: str) -> bool:
    """The judge's word, or the model's own where no judge is configured. Raises ValueError for an unreadable answer."""
    wish = filled(tools.template("judge"), query=query, text=text)
    told = await asked(
        tools.judge or tools.ask, turns(tools.template("judging"), wish), temperature=0.0, max_tokens=64, as_json=True
    )
    return read(json_object(told.text), _Verdict).answers
