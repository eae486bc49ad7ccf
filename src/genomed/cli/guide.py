"""What `genome help` prints: the commands by their nouns, each with its one sentence."""

from genomed.cli.failures import PROGRAM
from genomed.cli.verbs import (
    COMPLETION,
    ENGINE_INSTALL,
    EVENTS_TAIL,
    HELP,
    JOB_WAIT,
    JOB_WATCH,
    REVIEW,
    SYSTEMD_INSTALL,
    OwnVerb,
    every_verb,
    summary_of,
    words_of,
)

OWN_USAGE: dict[OwnVerb, str] = {
    JOB_WATCH: " JOB_ID",
    JOB_WAIT: " JOB_ID",
    EVENTS_TAIL: " [--after POSITION] [--pattern 'job.*']",
    REVIEW: " [BATCH_ID | DRAFT_ID]",
    COMPLETION: " bash|zsh|fish",
    SYSTEMD_INSTALL: " [--user] [--dry-run] [--yes]",
    ENGINE_INSTALL: " trl|unsloth|mlx|axolotl|torchtune [--python PATH] [--print] [--yes]",
    HELP: " [COMMAND]",
}

_OPENING = f"""\
{PROGRAM} speaks to the genomed daemon: what personas did goes in, trained layers come out.

usage: {PROGRAM} COMMAND [options]      {PROGRAM} help COMMAND explains one
"""

_CLOSING = """
everywhere: --json --quiet --socket PATH --timeout SECONDS --idempotency-key KEY
exit codes: 0 done, 1 failed, 2 usage, 3 no daemon, 4 refused, 130 interrupted"""


def is_noun(word: str) -> bool:
    """True when verbs belong to it, and it is none itself."""
    opening = [words_of(one) for one in every_verb() if words_of(one)[0] == word]
    return bool(opening) and (word,) not in opening


def listing(noun: str | None = None) -> str:
    """All commands, or those of one noun."""
    shown = [one for one in every_verb() if noun is None or words_of(one)[0] == noun]
    wide = max(len(" ".join(words_of(one))) for one in shown)
    lines = [f"  {' '.join(words_of(one)).ljust(wide)}  {summary_of(one)}" for one in shown]
    return "\n".join([_OPENING, *lines, _CLOSING])
