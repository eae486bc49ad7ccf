"""How the command line fails: its exit codes, and one message on stderr that names every problem.

Knows failures as data. Decides nothing about what is printed on stdout.
"""

import sys
from enum import IntEnum

import msgspec

from genomed.cli.wrapping import harmless
from genomed.entities.errors import ErrorKind, GenomeError, InvalidRequest, Problem, Transient

PROGRAM = "genome"


class ExitCode(IntEnum):
    """Stable for scripts. FAILED: carried out, and it went wrong. REFUSED: the daemon said no, nothing changed."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


class Usage(InvalidRequest):
    """The command line itself is wrong; nothing was sent."""


class Unreachable(Transient):
    """No daemon answers on the socket."""

    def __init__(self, socket: str, reason: str) -> None:
        super().__init__(f"no daemon answers on {socket}: {reason}")
        self.remedy = (
            f"start it with `genomed --socket {socket}`, or name another socket with --socket or GENOMED_SOCKET"
        )


class AnswerLost(Transient):
    """The connection ended before the answer: the command may have been carried out or not."""

    def __init__(self, reason: str, *, key: str | None) -> None:
        super().__init__(f"the connection ended before the answer came: {reason}")
        if key is None:
            self.remedy = "the command changes nothing: run it again"
        else:
            self.remedy = f"run it again with --idempotency-key {key}: whatever happened, it then happens once"


def exit_code(error: GenomeError) -> ExitCode:
    if isinstance(error, Usage):
        return ExitCode.USAGE
    if isinstance(error, Unreachable | AnswerLost):
        return ExitCode.UNREACHABLE
    if error.kind in (ErrorKind.INTERNAL, ErrorKind.TRAINING_FAILED, ErrorKind.MALFORMED_RESPONSE):
        return ExitCode.FAILED
    return ExitCode.REFUSED


def report(error: GenomeError, *, as_json: bool) -> None:
    """On stderr: for programs one JSON document, for people the message with every problem and remedy."""
    if as_json:
        sys.stderr.write(msgspec.json.encode({"error": error.body()}).decode() + "\n")
        return
    lines = [f"{PROGRAM}: {_headline(error)}"]
    if len(error.details) > 1:
        for problem in error.details:
            lines += _problem_lines(problem)
    elif remedy := error.remedy or next((p.remedy for p in error.details if p.remedy), None):
        lines.append(f"  {remedy}")
    sys.stderr.write(harmless("\n".join(lines)) + "\n")


def _headline(error: GenomeError) -> str:
    provider = f"{error.provider}: " if error.provider else ""
    if len(error.details) > 1:
        what = "the command line has" if isinstance(error, Usage) else f"refused ({error.kind}),"
        return f"{provider}{what} {len(error.details)} problems"
    return f"{provider}{error.message}"


def _problem_lines(problem: Problem) -> list[str]:
    where = f"{problem.field}: " if problem.field else ""
    return [f"  {where}{problem.message}"] + ([f"      {problem.remedy}"] if problem.remedy else [])
