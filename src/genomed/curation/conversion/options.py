"""How interactions become rows: the five methods, and what may be chosen of each. Read from JSON, strictly."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.checking import convert
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.json_value import JsonObject


class Method(StrEnum):
    SFT = "sft"
    SESSIONS = "sessions"
    PREFERENCE = "preference"
    LABELLED = "labelled"
    TRIPLETS = "triplets"


class Negatives(StrEnum):
    """Which of the results that nobody clicked are the wrong ones (reference cogniverse-ragd-ucotron.md 1.6).

    top_k: the first in the order shown. above_threshold: all that scored above their median. random: drawn with a seed.
    """

    TOP_K = "top_k"
    ABOVE_THRESHOLD = "above_threshold"
    RANDOM = "random"


class SftOptions(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One row per approved interaction. unjudged: also those that nobody judged. history: the persona's earlier turns
    in an input are learned too; otherwise they stand there with weight 0, since nobody judged them here.

    fewest: judged interactions below which the conversion is refused, with both numbers; 0 asks for none.
    """

    unjudged: bool = False
    history: bool = False
    fewest: Annotated[int, Meta(ge=0)] = 0


class SessionsOptions(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One row per session. fewest_turns: shorter sessions are left out. require_outcome: only sessions that were judged
    as a whole. unjudged: turns that nobody judged are learned too. whole_only: a session with a turn that is not to be
    learned is left out; otherwise that turn stays in the conversation with weight 0. system: replaces the sessions'
    own first turn; where they have none it is put there.
    """

    fewest_turns: Annotated[int, Meta(ge=1)] = 2
    require_outcome: bool = False
    unjudged: bool = False
    whole_only: bool = False
    system: Annotated[str, Meta(min_length=1)] | None = None


class PreferenceOptions(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A right answer over what the persona said. all_pairs: one row for each different right answer, not for the latest
    alone.
    """

    all_pairs: bool = False


class LabelledOptions(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the persona said, with a thumb up or down. There is nothing to choose."""


class TripletsOptions(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Rows of searches. relevance: a result rated as much is a positive. most_negatives: of top_k and random.

    exploded: a row per positive and negative. bare_ids: a result without text stands as its id; else it is left out.
    """

    negatives: Negatives = Negatives.TOP_K
    most_negatives: Annotated[int, Meta(ge=1, le=1000)] = 5
    relevance: Annotated[float, Meta(gt=0, le=1)] = 0.7
    seed: Annotated[int, Meta(ge=0)] = 0
    exploded: bool = False
    bare_ids: bool = False


Options = SftOptions | SessionsOptions | PreferenceOptions | LabelledOptions | TripletsOptions

_OPTIONS: dict[Method, type[Options]] = {
    Method.SFT: SftOptions,
    Method.SESSIONS: SessionsOptions,
    Method.PREFERENCE: PreferenceOptions,
    Method.LABELLED: LabelledOptions,
    Method.TRIPLETS: TripletsOptions,
}


def method_named(name: str) -> Method:
    """Raises InvalidRequest naming those that there are."""
    if name not in set(Method):
        told = f"must be one of {', '.join(Method)}, not {name!r}"
        raise InvalidRequest.of([Problem(field="method", message=told)])
    return Method(name)


def options_of(method: str, given: JsonObject) -> Options:
    """Raises InvalidRequest for an unknown method, and for whatever of `given` this method does not know."""
    return convert(given, _OPTIONS[method_named(method)], root="options")
