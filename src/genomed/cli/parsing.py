"""A command line into what was asked for: global options, the verb's own, and helpful refusals.

Knows argparse. Sends nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from msgspec import inspect

from genomed.cli.arguments import Document, Option, document, options, other_ids, positional, read_document, standing
from genomed.cli.failures import PROGRAM, Usage
from genomed.cli.verbs import words_of
from genomed.commands.context import CommandModule
from genomed.entities.checking import problems
from genomed.entities.errors import Problem

GLOBAL_WITH_VALUE = ("--socket", "--timeout", "--idempotency-key")
GLOBAL_SWITCHES = ("--json", "--quiet", "-q")
MOST_HELP_COLUMN = 36


@dataclass(frozen=True, kw_only=True)
class Globals:
    """timeout_s: how long to wait for one answer; None: the default; 0: for ever."""

    as_json: bool = False
    quiet: bool = False
    socket: str | None = None
    timeout_s: float | None = None
    idempotency_key: str | None = None


class Parser(argparse.ArgumentParser):
    """Refuses by Usage instead of leaving the process, so that --json gets its failures as JSON too."""

    def __init__(self, usage: str, description: str) -> None:
        self.aliases: dict[str, str] = {}
        super().__init__(
            prog=PROGRAM,
            usage=usage,
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=MOST_HELP_COLUMN),
        )
        shared = self.add_argument_group("everywhere")
        shared.add_argument(
            "--json", dest="as_json", action="store_true", help="the answer as JSON; streams as JSON Lines"
        )
        shared.add_argument("-q", "--quiet", action="store_true", help="ids only")
        shared.add_argument(
            "--socket", metavar="PATH", help="the daemon's socket (default: GENOMED_SOCKET, then the usual places)"
        )
        shared.add_argument(
            "--timeout", dest="timeout_s", type=float, metavar="SECONDS", help="wait so long for an answer; 0: for ever"
        )
        shared.add_argument("--idempotency-key", metavar="KEY", help="the same key and params are carried out once")

    def error(self, message: str) -> NoReturn:
        raise Usage(message[0].lower() + message[1:], remedy=f"`{self.prog} help` explains")

    def read(self, line: Sequence[str], *, takes: int) -> tuple[argparse.Namespace, list[str]]:
        """The options and up to `takes` words without a flag. Raises Usage naming near options."""
        known, rest = self.parse_known_args([self._plain(word) for word in line])
        loose = [word for word in rest if not word.startswith("-") or word == "-"]
        unknown = [word.partition("=")[0] for word in rest if word.startswith("-") and word not in ("-", "--")]
        if unknown:
            raise Usage.of([self._unknown(flag) for flag in unknown])
        if len(loose) > takes:
            raise Usage(f"{loose[takes]!r} is one word too many", remedy=self.format_usage().strip())
        return known, loose

    def _plain(self, word: str) -> str:
        """The flag in our spelling where it came in the wire's: `--persona-id=ada` for `--personaId=ada`."""
        name, equals, value = word.partition("=")
        return self.aliases.get(name, name) + equals + value

    def _unknown(self, flag: str) -> Problem:
        flags = [known for action in self._actions for known in action.option_strings]
        near = get_close_matches(flag, flags, n=3, cutoff=0.5) or [one for one in flags if flag.lstrip("-") in one][:3]
        remedy = "did you mean: " + ", ".join(near) if near else "--help lists the options"
        return Problem(field=flag, message="is no option of this command", remedy=remedy)


def globals_of(known: argparse.Namespace) -> Globals:
    return Globals(
        as_json=known.as_json,
        quiet=known.quiet,
        socket=known.socket,
        timeout_s=known.timeout_s,
        idempotency_key=known.idempotency_key,
    )


def verb_first(line: Sequence[str]) -> list[str]:
    """The line with global options that stand before the verb moved behind everything."""
    leading = 0
    while leading < len(line) and line[leading].startswith("-"):
        leading += 2 if line[leading] in GLOBAL_WITH_VALUE else 1
    return [*line[leading:], *line[:leading]]


def command_parser(module: CommandModule, found: Sequence[Option]) -> Parser:
    """The options of a command, those of a nested section under its name."""
    first = "".join(f" [{_shout(option)}]" for option in _bare_ids(found))
    first = first.replace("]", "".join(f"|{_shout(one)}" for one in other_ids(found)) + "]", 1)
    parser = Parser(f"{PROGRAM} {' '.join(words_of(module))}{first} [options]", module.SUMMARY)
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="params as a JSON object (-: standard input); options override it"
    )
    groups: dict[tuple[str, ...], argparse._ArgumentGroup] = {}
    for n, option in enumerate(found):
        parser.aliases[option.wire_flag] = option.flag
        section = option.path[:-1]
        if section not in groups:
            groups[section] = parser.add_argument_group(".".join(section) or "params")
        _add(groups[section], option, f"option_{n}")
    return parser


def _bare_ids(found: Sequence[Option]) -> list[Option]:
    """Those that may stand without their flags."""
    needed = [option for option in found if option.required and option.is_id]
    first = positional(found)
    return needed or ([] if first is None else [first])


def bare_words(found: Sequence[Option]) -> int:
    """How many words a command takes without a flag."""
    return len(_bare_ids(found))


def command_params(
    module: CommandModule, found: Sequence[Option], known: argparse.Namespace, loose: Sequence[str]
) -> Document:
    """The params as JSON, checked against the command's type. Raises Usage that names every problem."""
    bare = standing(found, loose)
    for option, word in bare:
        if word.lower() in ("true", "false"):  # what follows a switch, which takes nothing
            remedy = "a switch stands alone: --waiting, or --no-waiting"
            raise Usage(f"{word!r} is no id", field=".".join(option.path), remedy=remedy)
    given: list[tuple[Option, object]] = [*bare]
    for n, option in enumerate(found):
        value = getattr(known, f"option_{n}")
        if value is not None:
            given.append((option, value))
    base: Document = {}
    if known.file is not None:
        base = read_document(known.file, sys.stdin.read() if known.file == "-" else None)
    params = document(given, base)
    wrong = problems(params, module.Params)
    if wrong:
        raise Usage.of([_with_flag(problem, found) for problem in wrong])
    return params


def _with_flag(problem: Problem, found: Sequence[Option]) -> Problem:
    flag = next((option.flag for option in found if ".".join(option.path) == problem.field), None)
    if flag is None or problem.remedy is not None:
        return problem
    return Problem(field=problem.field, message=problem.message, remedy=f"see {flag}")


def _add(group: "argparse._ArgumentGroup", option: Option, dest: str) -> None:
    text = option.text.replace("%", "%%") + (" (required)" if option.required else "")
    if isinstance(option.kind, inspect.BoolType):
        group.add_argument(option.flag, dest=dest, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif option.repeats:
        group.add_argument(option.flag, dest=dest, action="append", metavar=option.metavar, help=text + " (may repeat)")
    else:
        group.add_argument(option.flag, dest=dest, metavar=option.metavar, choices=option.choices or None, help=text)


def _shout(option: Option) -> str:
    return option.flag.lstrip("-").replace("-", "_").upper()


def command_options(module: CommandModule) -> list[Option]:
    return options(module.Params)
