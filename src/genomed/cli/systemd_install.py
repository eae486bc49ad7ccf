"""`genome systemd install`: the shipped units, put where systemd reads them, after a look at the difference.

Knows the files, their places and which path goes into them. Starts nothing: it prints the commands that do. Asks no
daemon.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from genomed.cli.failures import PROGRAM, ExitCode, Usage
from genomed.cli.render import say
from genomed.entities.errors import Conflict, Forbidden, Problem

ANYWHERE = "/usr/bin/env "
"""What the shipped units begin their ExecStart with, until a path is known."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""What ProtectHome= and PrivateTmp= of the system's units hide from them."""

SYSTEM = {"system": "etc/systemd/system", "sysusers.d": "etc/sysusers.d"}
NEXT_SYSTEM = (
    "systemd-sysusers",
    "systemctl daemon-reload",
    "systemctl enable --now genomed.socket genomed.service",
    "systemctl enable --now genomed-trainer.socket    # only for training on this machine",
    "usermod --append --groups genome NAME            # for each person who may use it",
    "export GENOMED_SOCKET=/run/genomed/genomed.sock  # where `genome` then finds it",
)
NEXT_USER = (
    "systemctl --user daemon-reload",
    "systemctl --user enable --now genomed.socket genomed.service",
    "loginctl enable-linger    # only to keep it running when you are not logged in",
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for. prefix: put before every path, for building packages and for trying it out."""

    for_user: bool
    dry_run: bool
    yes: bool
    prefix: Path
    program: str | None
    trainer_python: str | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One file: where it goes, what it shall say and what it says now; None: it is not there."""

    path: Path
    wanted: str
    found: str | None

    @property
    def changes(self) -> bool:
        return self.wanted != self.found

    def difference(self) -> str:
        before = "" if self.found is None else self.found
        lines = unified_diff(
            before.splitlines(keepends=True),
            self.wanted.splitlines(keepends=True),
            "/dev/null" if self.found is None else str(self.path),
            str(self.path),
        )
        return "".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", dest="for_user", action="store_true", help="units of your own, not the machine's")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and write nothing")
    parser.add_argument("--yes", "-y", action="store_true", help="write without asking")
    parser.add_argument("--prefix", metavar="DIR", default="/", help="put before every path (default: /)")
    parser.add_argument("--program", metavar="PATH", help="the daemon (default: genomed beside this program)")
    parser.add_argument(
        "--trainer-python", metavar="PATH", help="an interpreter with torch, for training (default: genomed's own)"
    )


def wish_of(known: argparse.Namespace) -> Wish:
    return Wish(
        for_user=known.for_user,
        dry_run=known.dry_run,
        yes=known.yes,
        prefix=Path(known.prefix),
        program=known.program,
        trainer_python=known.trainer_python,
        as_json=known.as_json,
    )


def install(wish: Wish, environment: Mapping[str, str]) -> ExitCode:
    """Raises Usage, Forbidden or Conflict; then nothing was written, or the files before the one that failed."""
    units = planned(wish, environment)
    changing = [unit for unit in units if unit.changes]
    following = _following(wish)
    if not wish.as_json:
        for unit in changing:
            say(unit.difference().rstrip("\n"))
    write = bool(changing) and not wish.dry_run and (wish.yes or _agreed(len(changing), wish))
    if write:
        for unit in changing:
            _replace(unit)
    if wish.as_json:
        written = [str(unit.path) for unit in changing]
        document = {"changed": written, "unchanged": len(units) - len(changing), "written": write, "next": following}
        say(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        _tell(units, changing, written=write, following=following)
    return ExitCode.OK if write or wish.dry_run or not changing else ExitCode.FAILED


def _following(wish: Wish) -> tuple[str, ...]:
    """No systemd reads what lies under another root: there is nothing to start there."""
    if wish.prefix.resolve() != Path("/"):
        return ()
    return NEXT_USER if wish.for_user else NEXT_SYSTEM


def planned(wish: Wish, environment: Mapping[str, str]) -> list[Unit]:
    """Every file with its text before and after. Raises Usage naming each path that the units could not use."""
    program, python = _programs(wish)
    trainer = Path(str(files("genomed").joinpath("training", "started_by_systemd.py")))
    starts = {
        f"{ANYWHERE}genomed": quoted(program),
        f"{ANYWHERE}python3 -m genomed.training.started_by_systemd": f"{quoted(python)} {quoted(trainer)}",
    }
    if not wish.for_user:  # the paths go into the units as they are, under whatever root these are written
        used = {"--program": program, "--trainer-python": python, "genomed": trainer}
        wrong = [problem for flag, path in used.items() for problem in _invisible(flag, path)]
        if wrong:
            raise Usage.of(wrong)
    return [_unit(place, shipped, starts) for place, shipped in _places(wish, environment)]


def _programs(wish: Wish) -> tuple[Path, Path]:
    """The daemon beside our own interpreter, or on PATH; and the interpreter that trains."""
    python = Path(sys.executable)
    beside = python.with_name("genomed")
    found = wish.program or (str(beside) if beside.exists() else shutil.which("genomed"))
    if found is None:
        raise Usage("the program genomed was not found", field="--program", remedy="name its path with --program")
    named = {"--program": found, "--trainer-python": wish.trainer_python or str(python)}
    wrong = [
        Problem(field=flag, message=f"{path} is no program that can be run", remedy="give an absolute path")
        for flag, path in named.items()
        if not Path(path).is_absolute() or not os.access(path, os.X_OK)
    ]
    if wrong:
        raise Usage.of(wrong)
    return Path(named["--program"]), Path(named["--trainer-python"])


def _invisible(flag: str, path: Path) -> Iterator[Problem]:
    for one in dict.fromkeys((path, path.resolve())):
        if any(one.is_relative_to(hidden) for hidden in HIDDEN):
            yield Problem(
                field=flag,
                message=f"{one} lies where a unit of the system sees nothing (ProtectHome=, PrivateTmp=)",
                remedy="install genomed for the whole machine, say in /srv/genomed, or install --user units",
            )


def _places(wish: Wish, environment: Mapping[str, str]) -> Iterator[tuple[Path, Traversable]]:
    shipped = files("genomed").joinpath("systemd")
    if wish.for_user:
        home = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
        folders = {"user": f"{home.lstrip('/')}/systemd/user"}
    else:
        folders = SYSTEM
    for room, folder in folders.items():
        for one in sorted(shipped.joinpath(room).iterdir(), key=lambda entry: entry.name):
            yield wish.prefix / folder / one.name, one


def _unit(path: Path, shipped: Traversable, starts: Mapping[str, str]) -> Unit:
    lines = shipped.read_text(encoding="utf-8").splitlines(keepends=True)
    wanted = "".join(_started(line, starts) for line in lines)
    if path.is_symlink():
        raise Conflict(f"{path} is a link to {path.readlink()}", remedy="a masked unit? `systemctl unmask` it first")
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise Conflict(f"{path} cannot be read: {error.strerror}") from error
    return Unit(path=path, wanted=wanted, found=found)


def _started(line: str, starts: Mapping[str, str]) -> str:
    key, equals, value = line.rstrip("\n").partition("=")
    return f"{key}{equals}{starts[value]}\n" if key == "ExecStart" and value in starts else line


def quoted(path: Path) -> str:
    """As systemd reads it in ExecStart: `%` and `$` mean something there, and so does a space."""
    text = str(path).replace("%", "%%").replace("$", "$$")
    if text.isprintable() and not any(sign in text for sign in " '\"\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _agreed(count: int, wish: Wish) -> bool:
    if wish.as_json or not sys.stdin.isatty():
        raise Usage("nobody is there to ask", field="--yes", remedy="look with --dry-run, then repeat with --yes")
    sys.stdout.write(f"write {'this file' if count == 1 else f'these {count} files'}? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _replace(unit: Unit) -> None:
    """Whole or not at all, and only over what the difference was shown for."""
    try:
        unit.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        now = unit.path.read_text(encoding="utf-8", errors="replace") if unit.path.exists() else None
        if now != unit.found:
            raise Conflict(f"{unit.path} was changed meanwhile", remedy="run it again and look at the new difference")
        _write_beside(unit)
    except PermissionError as error:
        remedy = f"run it as root, or `{PROGRAM} systemd install --user` for your own daemon"
        raise Forbidden(f"{unit.path} cannot be written: {error.strerror}", remedy=remedy) from error
    except OSError as error:
        raise Conflict(f"{unit.path} cannot be written: {error.strerror}") from error


def _write_beside(unit: Unit) -> None:
    descriptor, beside = tempfile.mkstemp(dir=unit.path.parent, prefix=f".{unit.path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(unit.wanted)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        Path(beside).replace(unit.path)
    finally:
        Path(beside).unlink(missing_ok=True)


def _tell(units: list[Unit], changing: list[Unit], *, written: bool, following: tuple[str, ...]) -> None:
    if not changing:
        say(f"nothing to change: {len(units)} files are as they should be")
    elif written:
        say(f"written: {', '.join(str(unit.path) for unit in changing)}")
    else:
        say(f"nothing was written; {len(changing)} of {len(units)} files would change")
    if following and (written or not changing):
        say("\n".join(["then:", *(f"    {command}" for command in following)]))
