"""Searches as triplets: the query, a result that was clicked or rated well, and results that were not.

Sources of the numbers: reference cogniverse-ragd-ucotron.md 1.6. A result between the two is neither: one that somebody
clicked or rated 0.5 or better is no negative, however low it stands.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from statistics import median
from typing import assert_never

from genomed.curation.conversion.material import WITHHELD, Material, sound
from genomed.curation.conversion.options import Negatives, TripletsOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.interaction import USABLE_ABOVE, FeedbackRecord, Interaction, InteractionBody
from genomed.entities.rows import TripletRow
from genomed.entities.trace import SearchResult


def triplets(materials: Iterable[Material], options: TripletsOptions, tally: Tally) -> Iterator[Lesson]:
    """One row per positive with all its negatives, or one per positive and negative."""
    for material in materials:
        if not material.interaction.searched:
            continue
        tally.look()
        if material.body is None or material.interaction.forgotten:
            tally.leave_out("erased", "its words are gone", material.interaction_id)
            continue
        if material.interaction.withheld:
            tally.leave_out(*WITHHELD, material.interaction_id)
            continue
        yield from _of_search(material, material.body, options, tally)


def _of_search(material: Material, body: InteractionBody, options: TripletsOptions, tally: Tally) -> Iterator[Lesson]:
    own = material.interaction_id
    positives = [one for one in body.results if _positive(material.interaction, one.id, options.relevance)]
    if not positives:
        tally.leave_out("unjudged", "no result was clicked or rated well", own)
        return
    shown = [one for one in body.results if _wrong(material.interaction, one.id)]
    negatives = _texts(_chosen(shown, options, own), options, tally, own)
    texts = _texts(positives, options, tally, own)
    query = next((one.text for one in reversed(body.input) if one.role == "user"), "")
    for positive in texts:
        others = tuple(text for text in dict.fromkeys(negatives) if text != positive)
        if not others:
            tally.leave_out("no_negatives", "no other result tells a wrong answer", own)
            continue
        sides = [(one,) for one in others] if options.exploded else [others]
        for side in sides:
            row = TripletRow(anchor=query, positive=positive, negatives=side)
            if sound(row):
                tally.made += 1
                yield material.lesson(row)
            else:
                tally.leave_out("unfit", "a text of it says nothing", own)


def _of(interaction: Interaction, result_id: str) -> list[FeedbackRecord]:
    return [one for one in interaction.feedback if one.result_id == result_id]


def _rating(judged: Sequence[FeedbackRecord]) -> float | None:
    """The mean of what it was rated; a number says more than a click."""
    scores = [one.score for one in judged if one.score is not None]
    return sum(scores) / len(scores) if scores else None


def _positive(interaction: Interaction, result_id: str, relevance: float) -> bool:
    judged = _of(interaction, result_id)
    rating = _rating(judged)
    return rating >= relevance if rating is not None else any(one.mark == 1.0 for one in judged)


def _wrong(interaction: Interaction, result_id: str) -> bool:
    judged = _of(interaction, result_id)
    return all(one.mark is None or one.mark < USABLE_ABOVE for one in judged)


def _chosen(shown: Sequence[SearchResult], options: TripletsOptions, own: str) -> Sequence[SearchResult]:
    match options.negatives:
        case Negatives.TOP_K:
            return shown[: options.most_negatives]
        case Negatives.ABOVE_THRESHOLD:
            scores = [one.score for one in shown if one.score is not None]
            middle = median(scores) if scores else 0.0
            return [one for one in shown if one.score is not None and one.score > middle]
        case Negatives.RANDOM:
            draw = random.Random(sha256(f"{options.seed}\0{own}".encode()).digest())
            return draw.sample(shown, min(options.most_negatives, len(shown)))
        case _:
            assert_never(options.negatives)


def _texts(results: Iterable[SearchResult], options: TripletsOptions, tally: Tally, own: str) -> list[str]:
    found: list[str] = []
    for one in results:
        if one.content:
            found.append(one.content)
        elif options.bare_ids:
            found.append(one.id)
        else:
            tally.leave_out("no_content", "a result without its text; ask for bare ids with bareIds", own)
    return found
