"""Which command a line means: `job create` is genome/job-create, and a few verbs are the command line's own.

Knows names only, and imports just the command that was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from genomed.cli.failures import PROGRAM, Usage
from genomed.commands import command, commands
from genomed.commands.context import CommandModule

MOST_WORDS = 3


@dataclass(frozen=True)
class OwnVerb:
    """A verb that is no single command of the daemon."""

    words: tuple[str, ...]
    summary: str


JOB_WATCH = OwnVerb(("job", "watch"), "Follow a job live; Ctrl-C ends the view, never the job.")
JOB_WAIT = OwnVerb(("job", "wait"), "Wait until a job has ended; exit 1 unless it succeeded.")
EVENTS_TAIL = OwnVerb(("events", "tail"), "Follow the log, or a part of it.")
REVIEW = OwnVerb(("review",), "Go through the rows that wait for approval, one key each.")
COMPLETION = OwnVerb(("completion",), "Print the completion script of a shell.")
SYSTEMD_INSTALL = OwnVerb(("systemd", "install"), "Show what would change in systemd's units, and install them.")
ENGINE_INSTALL = OwnVerb(("engine", "install"), "Build an engine's own environment: the commands first, then the work.")
HELP = OwnVerb(("help",), "Explain a command, or list them all.")
OWN_VERBS = (JOB_WATCH, JOB_WAIT, EVENTS_TAIL, REVIEW, COMPLETION, SYSTEMD_INSTALL, ENGINE_INSTALL, HELP)

Verb = OwnVerb | CommandModule


def words_of(verb: Verb) -> tuple[str, ...]:
    """`("job", "create")` of genome/job-create."""
    if isinstance(verb, OwnVerb):
        return verb.words
    return tuple(verb.NAME.removeprefix("genome/").split("-"))


def summary_of(verb: Verb) -> str:
    return verb.summary if isinstance(verb, OwnVerb) else verb.SUMMARY


def every_verb() -> list[Verb]:
    """All verbs by their words. Imports every command: for help and completion only."""
    known: dict[tuple[str, ...], Verb] = {words_of(module): module for module in commands()}
    known |= {own.words: own for own in OWN_VERBS}
    return [known[words] for words in sorted(known)]


def verb(line: Sequence[str]) -> tuple[Verb, int]:
    """The verb that `line` opens with, and of how many words it is. Raises Usage naming near ones.

    The longest match wins: `train status` is genome/train-status, `train` alone is genome/train.
    """
    opening = [word for word in line[:MOST_WORDS] if not word.startswith("-")]
    for count in range(len(opening), 0, -1):
        found = _exactly(tuple(opening[:count]))
        if found is not None:
            return found, count
    raise Usage(f"{' '.join(opening)!r} is no command", remedy=_suggestion(opening))


def _exactly(words: tuple[str, ...]) -> Verb | None:
    for own in OWN_VERBS:
        if own.words == words:
            return own
    return command("-".join(words).removeprefix("genome/"))


def _suggestion(opening: Sequence[str]) -> str:
    known = [" ".join(words_of(one)) for one in every_verb()]
    near = get_close_matches(" ".join(opening[:2]), known, n=3, cutoff=0.6)
    near = near or [one for one in known if one.split()[0] == opening[0]]
    if near:
        return "did you mean: " + ", ".join(near)
    return f"`{PROGRAM} help` lists the commands"
