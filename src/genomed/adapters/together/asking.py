"""A question to Together whose answer is no verdict when it cannot be read."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

from genomed.adapters._http import Http, HttpReply
from genomed.entities.errors import MalformedResponse, Transient

NAME = "together"

T = TypeVar("T")


async def ask(http: Http, path: str, wanted: type[T], *, query: Mapping[str, str | int] | None = None) -> T:
    """Raises as `Http.ask`, and Transient for an answer of another form."""
    return understood(await http.ask("GET", path, query=query), wanted)


def understood(reply: HttpReply, wanted: type[T]) -> T:
    try:
        return reply.read(wanted)
    except MalformedResponse as unreadable:
        raise Transient(unreadable.message, provider=NAME) from unreadable


def job_path(provider_job_id: str, *rest: str) -> str:
    """Ids may come from a person (genome/job-resolve), so they are not taken for paths."""
    return "/".join(("/fine-tunes", quote(provider_job_id, safe=""), *rest))
