"""Questions and passages that mean the same and share no telling word: small enough to be learned in a minute.

A question names a thing and what to do with it in everyday words, its passage in formal ones. Which word goes with
which is learned from some pairs of the two and must hold for pairs that were never seen. Pure and deterministic.
"""

import random
from typing import NamedTuple

THINGS: dict[str, tuple[str, str]] = {
    "computer": ("laptop", "notebook"), "bicycle": ("bike", "cycle"), "settee": ("sofa", "couch"),
    "handset": ("phone", "mobile"), "refrigerator": ("fridge", "icebox"), "vehicle": ("car", "auto"),
    "television": ("telly", "screen"), "apartment": ("flat", "home"), "aircraft": ("plane", "jet"),
    "photograph": ("picture", "snap"), "correspondence": ("mail", "letter"), "melody": ("song", "tune"),
}  # fmt: skip
"""Formal word -> the everyday ones."""

DOINGS: dict[str, tuple[str, str]] = {
    "purchasing": ("buy", "get"), "repairing": ("fix", "mend"), "vending": ("sell", "trade"),
    "polishing": ("clean", "wash"), "dispatching": ("send", "ship"), "archiving": ("store", "keep"),
    "underwriting": ("insure", "cover"), "leasing": ("rent", "lend"),
}  # fmt: skip
QUESTIONS = (
    "how do i {doing} my {thing}",
    "what is the way to {doing} a {thing}",
    "can someone help me {doing} this {thing}",
)
PASSAGES = ("guidance on {doing} any {thing}", "chapter about {doing} the {thing}")
NEGATIVES = 3
HELD_OUT_EVERY = 4
"""Of the pairs of thing and doing, one in so many is never trained on."""


class Lesson(NamedTuple):
    """negatives: passages about the same thing or the same doing, which only nearly fit."""

    question: str
    passage: str
    negatives: tuple[str, ...]


def lessons(count: int, *, seed: int, held_out: bool) -> list[Lesson]:
    """`count` of the pairs that are trained on, or of the others, in an order that the seed decides."""
    draw = random.Random(f"{seed}:{held_out}")
    pairs = [pair for at, pair in enumerate(_pairs()) if (at % HELD_OUT_EVERY == 0) is held_out]
    made = list[Lesson]()
    while len(made) < count:
        draw.shuffle(pairs)
        made += [_lesson(draw, thing, doing) for thing, doing in pairs[: count - len(made)]]
    return made


def corpus() -> list[str]:
    """Every word, often enough for a tokenizer to keep it whole."""
    draw = random.Random(0)
    return [text for _ in range(4) for pair in _pairs() for text in (_question(draw, *pair), _passage(draw, *pair))]


def likenesses(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Two texts of one kind about the same: what a base model may know before it learns which question wants what."""
    draw, pairs, made = random.Random(f"{seed}:likenesses"), _pairs(), list[tuple[str, str]]()
    while len(made) < count:
        write = draw.choice((_question, _passage))
        draw.shuffle(pairs)
        made += [(write(draw, *pair), write(draw, *pair)) for pair in pairs[: count - len(made)]]
    return made


def _pairs() -> list[tuple[str, str]]:
    """Mixed, so that what is held out holds every thing and every doing."""
    pairs = [(thing, doing) for thing in THINGS for doing in DOINGS]
    random.Random("pairs").shuffle(pairs)
    return pairs


def _lesson(draw: random.Random, thing: str, doing: str) -> Lesson:
    near = [(thing, other) for other in DOINGS if other != doing] + [
        (other, doing) for other in THINGS if other != thing
    ]
    chosen = draw.sample(near, NEGATIVES)
    return Lesson(
        _question(draw, thing, doing), _passage(draw, thing, doing), tuple(_passage(draw, *one) for one in chosen)
    )


def _question(draw: random.Random, thing: str, doing: str) -> str:
    return draw.choice(QUESTIONS).format(thing=draw.choice(THINGS[thing]), doing=draw.choice(DOINGS[doing]))


def _passage(draw: random.Random, thing: str, doing: str) -> str:
    return draw.choice(PASSAGES).format(thing=thing, doing=doing)
