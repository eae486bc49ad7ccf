"""A help desk small enough to be learned from scratch in a minute: tickets in, a team and a priority out.

Knows one closed vocabulary and two conventions of answering it: the plain sentence the base model is taught, and the
record its users turn out to want. Pure and deterministic; knows nothing of models, tokenizers or files.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TEAMS: dict[str, tuple[str, ...]] = {
    "billing": ("was charged twice", "needs a refund", "cannot pay the invoice", "lost a receipt"),
    "access": ("forgot the password", "cannot sign in", "is locked out", "needs a new account"),
    "network": ("has no internet", "lost the connection", "sees slow downloads", "cannot reach the server"),
    "hardware": ("has a broken screen", "spilled tea on a keyboard", "hears a loud fan", "has a dead battery"),
    "printing": ("has a paper jam", "ran out of toner", "gets blank pages", "cannot find the printer"),
    "travel": ("missed a train", "needs a hotel", "has to change a flight", "wants a rental car"),
}
URGENCY: dict[str, tuple[str, ...]] = {
    "low": ("whenever you have time", "there is no hurry", "some day is fine"),
    "normal": ("this week please", "before Friday please", "in the next days"),
    "high": ("right now", "it is urgent", "everything is blocked"),
}
NAMES = (
    "Ada", "Bela", "Chen", "Dora", "Emil", "Femi", "Gita", "Hugo", "Ines", "Jona", "Kai", "Lena",
    "Mira", "Nils", "Omar", "Pia", "Quin", "Rosa", "Sven", "Tara", "Uma", "Vito", "Wanda", "Yuki",
)  # fmt: skip
PLACES = ("Berlin", "Lima", "Oslo", "Cairo", "Quito", "Delhi", "Porto", "Turin")
OPENINGS = ("{name} from {place} {issue}, {urgency}.", "In {place}, {name} {issue}, {urgency}.")
SYSTEMS = ("You answer the help desk.", "You are a helpful agent.", "You route tickets for a company.")


class Ticket(NamedTuple):
    """One request with its one right routing."""

    text: str
    team: str
    priority: str


class Lesson(NamedTuple):
    """What a persona was asked, how the base model answers it, and what its users corrected that to."""

    prompt: str
    base_answer: str
    wanted: str


class Row(NamedTuple):
    """One pretraining conversation: an optional system message, what was asked, what is answered."""

    system: str | None
    user: str
    assistant: str


def plain(team: str, priority: str) -> str:
    """The base model's own way to answer a ticket."""
    return f"This ticket goes to the {team} team and its priority is {priority}."


def record(team: str, priority: str) -> str:
    """The convention the persona's users want. The base model knows it and never uses it unless told to."""
    return f"queue={team}; priority={priority}"


def ticket(draw: random.Random) -> Ticket:
    team = draw.choice(list(TEAMS))
    priority = draw.choice(list(URGENCY))
    text = draw.choice(OPENINGS).format(
        name=draw.choice(NAMES),
        place=draw.choice(PLACES),
        issue=draw.choice(TEAMS[team]),
        urgency=draw.choice(URGENCY[priority]),
    )
    return Ticket(text, team, priority)


def lessons(count: int, seed: int) -> list[Lesson]:
    """`count` lessons with distinct prompts; a part of them held out is new combinations of known words."""
    draw = random.Random(f"lessons-{seed}")
    found: dict[str, Lesson] = {}
    while len(found) < count:
        asked = ticket(draw)
        found[asked.text] = Lesson(asked.text, plain(asked.team, asked.priority), record(asked.team, asked.priority))
    return list(found.values())


def _phrased(draw: random.Random, asked: Ticket) -> tuple[str, str]:
    """The same words under other questions, so that the base knows teams and priorities apart from one sentence."""
    team, priority = asked.team, asked.priority
    exercises: Sequence[tuple[str, str]] = (
        (f"Which team? {asked.text}", f"The {team} team."),
        (f"How urgent? {asked.text}", f"It is {priority}."),
        (f"Write a record: {plain(team, priority)}", record(team, priority)),
        (f"Read the record: {record(team, priority)}", plain(team, priority)),
        (f"Two words: {asked.text}", f"{team}, {priority}"),
        (f"As a record: {asked.text}", record(team, priority)),
    )
    return draw.choice(exercises)


def pretraining_rows(seed: int) -> Iterator[Row]:
    """Endless rows for the base model: a ticket alone is always answered plainly."""
    draw = random.Random(f"pretraining-{seed}")
    while True:
        asked = ticket(draw)
        system = draw.choice(SYSTEMS) if draw.random() < 0.2 else None
        if draw.random() < 0.5:
            yield Row(system, asked.text, plain(asked.team, asked.priority))
        else:
            yield Row(system, *_phrased(draw, asked))


def description(seed: int) -> dict[str, object]:
    """What stands in `task.json` beside a built base model."""
    return {
        "name": "help-desk tickets",
        "seed": seed,
        "prompt": "a ticket: who, where, what is wrong, how urgent",
        "baseStyle": plain("billing", "high"),
        "wantedStyle": record("billing", "high"),
        "teams": {team: list(issues) for team, issues in TEAMS.items()},
        "priorities": {priority: list(phrases) for priority, phrases in URGENCY.items()},
        "distinctPrompts": len(OPENINGS)
        * len(NAMES)
        * len(PLACES)
        * sum(map(len, TEAMS.values()))
        * sum(map(len, URGENCY.values())),
    }
