"""The `genome` command: a verb, its params, one request, one answer shown.

Knows the order of things. The commands themselves are the daemon's; their options come from the command table.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from genomed import __version__
from genomed.cli import completion, guide, pieces
from genomed.cli.arguments import Json
from genomed.cli.failures import PROGRAM, ExitCode, Usage, exit_code, report
from genomed.cli.job_ids import with_whole_job_id
from genomed.cli.parsing import (
    Globals,
    Parser,
    bare_words,
    command_options,
    command_params,
    command_parser,
    globals_of,
    verb_first,
)
from genomed.cli.render import coloured, ids, render, say, width
from genomed.cli.transport import Wire, read_private
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
    verb,
)
from genomed.cli.watch import tail, watch
from genomed.commands.context import CommandModule
from genomed.entities.errors import GenomeError
from genomed.entities.locations import bearer_token, socket_path
from genomed.entities.types import Role
from genomed.entities.wire import Reply


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(line: Sequence[str]) -> ExitCode:
    """Carry out a command line; failures go to stderr and into the exit code."""
    try:
        return _carry_out(verb_first(line))
    except GenomeError as error:
        report(error, as_json="--json" in line)
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader (`| head`) has seen enough; nothing may be flushed to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _carry_out(line: Sequence[str]) -> ExitCode:
    if "--version" in line[:1]:
        say(f"{PROGRAM} {__version__}")
        return ExitCode.OK
    if not line or line[0].startswith("-"):
        say(guide.listing())
        return ExitCode.OK
    if len(line) > 1 and line[1] in ("-h", "--help") and guide.is_noun(line[0]):
        say(guide.listing(line[0]))
        return ExitCode.OK
    chosen, count = verb(line)
    rest = line[count:]
    return _own(chosen, rest) if isinstance(chosen, OwnVerb) else _command(chosen, rest)


def _command(module: CommandModule, rest: Sequence[str]) -> ExitCode:
    found = command_options(module)
    parser = command_parser(module, found)
    known, loose = parser.read(rest, takes=bare_words(found))
    asked = globals_of(known)
    params = command_params(module, found, known, loose)
    wire = _wire(asked)
    params = with_whole_job_id(wire, params)
    if pieces.comes_in_pieces(module) and not (asked.as_json or asked.quiet):
        reply = pieces.told(wire, module, params)
    else:
        reply = wire.call(module.NAME, params, key=asked.idempotency_key, changes=module.ROLE is not Role.READ)
    next_page = "--cursor" if any(option.path == ("cursor",) for option in found) else "--after"
    return _shown(reply, asked, next_page)


def _shown(reply: Reply, asked: Globals, next_page: str) -> ExitCode:
    """FAILED for a check that was carried out and says no: `valid` or `ok` false."""
    result: Json = msgspec.json.decode(reply.result)
    if asked.as_json:
        say(msgspec.json.format(bytes(reply.result), indent=2).decode())
    elif asked.quiet:
        for one in ids(result):
            say(one)
    else:
        colour = coloured(sys.stdout)
        say(render(result, columns=width(sys.stdout), colour=colour, next_page=next_page))
        if reply.replayed:
            sys.stderr.write("this is the answer of the first time: the idempotency key was used before\n")
    negative = isinstance(result, dict) and (result.get("valid") is False or result.get("ok") is False)
    return ExitCode.FAILED if negative else ExitCode.OK


def _own(chosen: OwnVerb, rest: Sequence[str]) -> ExitCode:
    parser = Parser(f"{PROGRAM} {' '.join(chosen.words)}{guide.OWN_USAGE[chosen]}", chosen.summary)
    if chosen in (JOB_WATCH, JOB_WAIT):
        known, loose = parser.read(rest, takes=1)
        if not loose:
            raise Usage("which job? give its id, or the beginning of it", remedy=f"`{PROGRAM} job list` lists them")
        asked = globals_of(known)
        return watch(_wire(asked), loose[0], asked, silent=chosen is JOB_WAIT)
    if chosen is EVENTS_TAIL:
        parser.add_argument(
            "--after", type=int, metavar="POSITION", help="from behind this position (default: from now; 0: all)"
        )
        parser.add_argument("--pattern", action="append", default=[], help="types to show, as in job.* (may repeat)")
        known, _ = parser.read(rest, takes=0)
        asked = globals_of(known)
        return tail(_wire(asked), after=known.after, patterns=known.pattern, asked=asked)
    if chosen is REVIEW:
        known, loose = parser.read(rest, takes=1)
        asked = globals_of(known)
        return _review(asked, loose[0] if loose else None)
    if chosen is COMPLETION:
        _, loose = parser.read(rest, takes=1)
        say(completion.script(loose[0] if loose else ""))
        return ExitCode.OK
    if chosen is SYSTEMD_INSTALL:
        return _systemd_install(parser, rest)
    if chosen is ENGINE_INSTALL:
        return _engine_install(parser, rest)
    assert chosen is HELP
    return _help(rest, parser)


def _review(asked: Globals, typed: str | None) -> ExitCode:
    from genomed.cli.review import review  # noqa: PLC0415 - the only verb that needs a whole screen

    return review(_wire(asked), typed, asked)


def _systemd_install(parser: Parser, rest: Sequence[str]) -> ExitCode:
    from genomed.cli.systemd_install import add_options, install, wish_of  # noqa: PLC0415 - needed once in a machine's life

    add_options(parser)
    known, _ = parser.read(rest, takes=0)
    return install(wish_of(known), os.environ)


def _engine_install(parser: Parser, rest: Sequence[str]) -> ExitCode:
    from genomed.cli.engine_install import add_options, install, wish_of  # noqa: PLC0415 - needed once in an engine's life

    add_options(parser)
    known, words = parser.read(rest, takes=1)
    return install(wish_of(known, words, os.environ))


def _help(rest: Sequence[str], parser: Parser) -> ExitCode:
    """For people from the command table at hand; with --json the daemon's own schemas."""
    known, words = parser.read(rest, takes=3)
    if known.as_json:
        asked = globals_of(known)
        params = {"command": "-".join(words)} if words else {}
        return _shown(_wire(asked).call("genome/help", params), asked, "")
    if not words or (guide.is_noun(words[0]) and len(words) == 1):
        say(guide.listing(*words))
        return ExitCode.OK
    chosen, _ = verb(words)
    if isinstance(chosen, OwnVerb):
        return _own(chosen, ["--help"])
    command_parser(chosen, command_options(chosen)).print_help()
    return ExitCode.OK


def _wire(asked: Globals) -> Wire:
    path = asked.socket or socket_path(os.environ)
    return Wire(path, timeout_s=asked.timeout_s, token=bearer_token(os.environ, read_private))


if __name__ == "__main__":
    main()
