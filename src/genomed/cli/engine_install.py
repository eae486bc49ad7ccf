"""`genome engine install NAME`: an engine's own environment, made where the daemon finds it by itself.

Shows the exact commands, asks, runs them, and then looks at what is there as the daemon will. Knows the recipes and
the data folder. Asks no daemon: it notices by itself, at its next look.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from genomed.cli.failures import PROGRAM, ExitCode, Usage
from genomed.cli.render import say
from genomed.entities.engine_recipes import RECIPES, Recipe, supports_python
from genomed.entities.engines import EngineName
from genomed.entities.errors import Conflict
from genomed.entities.locations import data_dir

Command = tuple[str, ...]
LOOK_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for. torch: the requirement to take in place of the recipe's, for one of another build."""

    engine: EngineName
    python: Path
    data: Path
    torch: str | None
    only_print: bool
    yes: bool
    as_json: bool

    @property
    def environment(self) -> Path:
        return self.data / "engines" / self.engine.value


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there after it. wrong: sentences; none means that the environment is whole."""

    versions: dict[str, str]
    wrong: tuple[str, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", metavar="PATH", help="the interpreter to build it with (default: genomed's own)")
    parser.add_argument("--data", metavar="DIR", help="the daemon's data folder (default: as the daemon finds it)")
    parser.add_argument(
        "--torch", metavar="REQUIREMENT", help="this torch in place of any, as in torch==2.13.0+cpu, as pip takes it"
    )
    parser.add_argument("--print", dest="only_print", action="store_true", help="show the commands and run none")
    parser.add_argument("--yes", "-y", action="store_true", help="run them without asking")


def wish_of(known: argparse.Namespace, words: Sequence[str], environment: Mapping[str, str]) -> Wish:
    """Raises Usage."""
    names = ", ".join(EngineName)
    if len(words) != 1 or words[0] not in tuple(EngineName):
        asked = f"{' '.join(words)!r} is no engine" if words else "which engine?"
        raise Usage(asked, remedy=f"there are {names}; `{PROGRAM} engine list` says what each is for")
    found = shutil.which(known.python or sys.executable)
    if found is None:
        raise Usage(f"{known.python} is no program that can be run", field="--python")
    return Wish(
        engine=EngineName(words[0]),
        python=Path(found).absolute(),
        data=Path(known.data or data_dir(environment)).absolute(),
        torch=known.torch,
        only_print=known.only_print,
        yes=known.yes,
        as_json=known.as_json,
    )


def commands(wish: Wish) -> list[Command]:
    """What makes the environment, in order. torch goes first: others are built against it. Pure."""
    recipe, inside = RECIPES[wish.engine], str(wish.environment / "bin" / "python")
    first = [wish.torch if wish.torch and p.name == "torch" else p.requirement for p in recipe.first]
    # The second call names torch again: what comes after it must not exchange it for another.
    rest = [*first, *(package.requirement for package in recipe.packages)]
    made: list[Command] = [(str(wish.python), "-m", "venv", str(wish.environment))]
    if first:
        made.append((inside, "-m", "pip", "install", *first))
    return [*made, (inside, "-m", "pip", "install", *rest)]


def install(wish: Wish) -> ExitCode:
    """Raises Usage before anything ran, Conflict where a command fails: what stands then is incomplete."""
    _require_python(wish)
    planned = commands(wish)
    if wish.only_print or not wish.as_json:
        for command in planned:
            say(shlex.join(command))
    if wish.only_print:
        return ExitCode.OK
    if not (wish.yes or _agreed(wish)):
        say("nothing was run")
        return ExitCode.FAILED
    for command in planned:
        _carry_out(command, wish)
    found = look(wish.environment / "bin" / "python", RECIPES[wish.engine])
    _tell(wish, planned, found)
    return ExitCode.FAILED if found.wrong else ExitCode.OK


def _require_python(wish: Wish) -> None:
    recipe = RECIPES[wish.engine]
    asked = [str(wish.python), "-c", "import platform; print(platform.python_version())"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=LOOK_S)
    version = done.stdout.strip()
    if done.returncode != 0 or not supports_python(recipe, version or "0"):
        low, high = recipe.python
        message = f"{wish.python} is Python {version or 'that does not start'}; {recipe.engine.value} runs on {low} to"
        raise Usage(f"{message} below {high}", field="--python", remedy="name another interpreter with --python")


def _agreed(wish: Wish) -> bool:
    if wish.as_json or not sys.stdin.isatty():
        raise Usage("nobody is there to ask", field="--yes", remedy="look with --print, then repeat with --yes")
    sys.stdout.write("run these commands? they fetch packages, often gigabytes [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _carry_out(command: Command, wish: Wish) -> None:
    """Pip's words go to stderr where stdout is for a document."""
    out = sys.stderr if wish.as_json else None
    try:
        wish.environment.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        code = subprocess.run(command, check=False, stdout=out).returncode
    except OSError as error:
        raise Conflict(f"{shlex.join(command)} cannot be run: {error.strerror}") from error
    if code != 0:
        raise Conflict(
            f"{shlex.join(command)} ended with {code}",
            remedy=f"repeat it when the cause is gone, or remove {wish.environment}: what is there is incomplete",
        )


def look(python: Path, recipe: Recipe) -> Found:
    """The same look as the daemon's, at the packages; it does not ask for devices."""
    probe = files("genomed").joinpath("training", "engine_probe.py")
    names = list(dict.fromkeys(package.name for package in recipe.needed))
    done = subprocess.run(
        [str(python), str(probe), *names], capture_output=True, text=True, check=False, timeout=LOOK_S
    )
    try:
        said = msgspec.json.decode(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "", type=_Said)
    except msgspec.MsgspecError as broken:
        return Found(versions={}, wrong=(f"{python} does not answer: {broken}; {done.stderr.strip()[-200:]}",))
    missing = [f"{name} is not installed" for name in names if name not in said.versions]
    unfit = [
        told
        for package in recipe.needed
        if package.name in said.versions and (told := package.conflict(said.versions[package.name])) is not None
    ]
    return Found(versions=said.versions, wrong=(*missing, *unfit))


class _Said(msgspec.Struct, frozen=True):
    versions: dict[str, str]


def _tell(wish: Wish, planned: Sequence[Command], found: Found) -> None:
    if wish.as_json:
        document = {
            "engine": wish.engine.value,
            "python": str(wish.environment / "bin" / "python"),
            "commands": [list(command) for command in planned],
            "versions": found.versions,
            "wrong": found.wrong,
        }
        say(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    say(f"{wish.engine.value} in {wish.environment}: " + ", ".join(f"{n} {v}" for n, v in found.versions.items()))
    for sentence in found.wrong:
        say(f"but {sentence}")
    if not found.wrong:
        say(f"a daemon with this data folder finds it by itself: `{PROGRAM} engine list`")
