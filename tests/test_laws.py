"""The house rules that a machine can read: doors, imports, sizes, names, and what must never be committed."""

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NetworkForbidden

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "genomed"
DOORS = ("daemon", "adapters", "entities", "commands")
PYTHON_FOLDERS = ("src", "tests", "benchmarks", "examples")

# The rims of the house: one request, one job, one deployment, one call of a recipe's code, one worker process.
# Only there an unforeseen failure becomes a report.
RIMS = (
    "daemon/dispatch.py",
    "daemon/courier/courier.py",
    "daemon/triggers.py",
    "daemon/courier/deployments.py",
    "daemon/courier/withdrawals.py",
    "daemon/errands/errands.py",
    "daemon/recipe_engine/rim.py",
    "training/__main__.py",
    "adapters/_plug_ins.py",
)

ENGINES_AND_SDKS = {
    "torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "safetensors", "numpy", "pandas",
    "openai", "fireworks", "mistralai", "together", "onnx", "onnxruntime", "unsloth", "sentence_transformers",
}  # fmt: skip

NEIGHBOURS = {"traces", "models"}  # of the providers: trace systems and the models that recipes ask
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "manager", "common", "base", "core", "service", "handler", "misc"}
FILE_ALARM_LINES = 400
FUNCTION_ALARM_LINES = 60


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every absolute import, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def committed_files() -> list[Path]:
    """What git holds or would add; in an unpacked sdist, which has no .git, everything."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        paths = [ROOT / name for name in names if name]
    else:
        paths = [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def command_modules() -> list[Path]:
    def defines_name(path: Path) -> bool:
        targets: list[ast.expr] = []
        for node in parsed(path).body:
            targets += node.targets if isinstance(node, ast.Assign) else []
            targets += [node.target] if isinstance(node, ast.AnnAssign) else []
        return any(isinstance(target, ast.Name) and target.id == "NAME" for target in targets)

    return [path for path in sorted((SRC / "commands").glob("*.py")) if defines_name(path)]


def provider_names() -> list[str]:
    folder = SRC / "adapters"
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted(name for name in found - NEIGHBOURS if not name.startswith("_"))


def test_every_door_is_a_relative_link_to_its_room() -> None:
    for door in DOORS:
        assert (ROOT / door).is_symlink(), f"{door} is not a link"
        assert (ROOT / door).readlink() == Path("src/genomed") / door
        assert (ROOT / door / "__init__.py").samefile(SRC / door / "__init__.py")


def test_nothing_is_imported_through_a_door() -> None:
    offences = [
        f"{where(path, line)} imports {name}"
        for path in modules(*PYTHON_FOLDERS)
        for line, name in imported_names(parsed(path))
        if name.split(".")[0] in DOORS
    ]
    assert offences == []


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_entities_import_the_standard_library_msgspec_and_each_other_only() -> None:
    allowed = sys.stdlib_module_names | {"msgspec"}
    offences = [
        f"{where(path, line)} imports {name}"
        for path in modules("src/genomed/entities")
        for line, name in imported_names(parsed(path))
        if name.split(".")[0] not in allowed and not f"{name}.".startswith("genomed.entities.")
    ]
    assert offences == []


def test_training_names_genomed_nowhere_since_it_may_run_where_genomed_is_not() -> None:
    offences = [
        f"{where(path, line)} imports {name}; write it as a relative import"
        for path in modules("src/genomed/training")
        for line, name in imported_names(parsed(path))
        if name.split(".")[0] == "genomed"
    ]
    assert offences == []


@pytest.mark.parametrize("door", ["genomed.daemon.__main__", "genomed.cli.__main__"])
def test_starting_loads_no_engine_and_no_sdk(door: str) -> None:
    assert loaded_by(f"import json, sys, {door}; print(json.dumps(sorted(sys.modules)))") & ENGINES_AND_SDKS == set()


def loaded_by(code: str) -> set[str]:
    """Top-level names of what a fresh interpreter has loaded after `code`, which prints its own sys.modules."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_no_module_outside_training_loads_an_engine_or_an_sdk_when_imported() -> None:
    code = (
        "import importlib, json, pkgutil, sys, genomed\n"
        "rooms = [m.name for m in pkgutil.iter_modules(genomed.__path__, 'genomed.') if m.name != 'genomed.training']\n"
        "for room in rooms:\n"
        "    for m in pkgutil.walk_packages(importlib.import_module(room).__path__, room + '.'):\n"
        "        importlib.import_module(m.name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert loaded_by(code) & ENGINES_AND_SDKS == set()


def test_no_file_grows_past_the_alarm() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules("src")}
    assert [f"{path.relative_to(ROOT)}: {n} lines" for path, n in sizes.items() if n > FILE_ALARM_LINES] == []


def test_no_function_grows_past_the_alarm() -> None:
    offences = []
    for path in modules("src"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                offences += [f"{where(path, node.lineno)} {node.name}: {lines} lines"] * (lines > FUNCTION_ALARM_LINES)
    assert offences == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {path: {path.stem.strip("_"), path.parent.name} for path in modules("src")}
    assert [str(path) for path, said in names.items() if said & NAMES_THAT_SAY_NOTHING] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in modules(*PYTHON_FOLDERS) if not (ast.get_docstring(parsed(path)) or "")
    ]
    assert silent == []


def test_everything_is_caught_only_at_the_rims() -> None:
    assert [offence for path in modules("src") for offence in broad_handlers(path)] == []


def broad_handlers(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if None in caught:
            yield f"{where(path, node.lineno)}: bare except"
            continue
        names = {name.id for name in caught if isinstance(name, ast.Name)}
        goes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        at_rim = path.relative_to(SRC).as_posix() in RIMS and "BaseException" not in names
        if names & {"Exception", "BaseException"} and not goes_on and not at_rim:
            yield f"{where(path, node.lineno)}: catches {', '.join(sorted(names))}"


def test_nothing_is_left_for_later_in_a_comment() -> None:
    promise = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
    offences = [
        f"{where(path, number)}: {line.strip()}"
        for path in modules(*PYTHON_FOLDERS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if promise.search(line)
    ]
    assert offences == []


def test_no_machine_of_ours_is_named_in_what_is_committed() -> None:
    machine = re.compile(
        r"(?<![\w.:/~}-])/(?:root|home/\w+|Users/\w+|work|workspace|opt|mnt)/"  # somebody's folders
        r"|[.]pyenv|[.]conda/"  # somebody's interpreter
        r"|(?:index-url|find-links|trusted-host)[ =]+\S*[/.]\w"  # somebody's registry
        r"|https?://[^\s/]*(?:artifactory|nexus|devpi|jfrog)"
    )
    offences = [
        f"{where(path, number)}: {line.strip()[:100]}"
        for path in committed_files()
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if machine.search(line)
    ]
    assert offences == []


def test_every_command_has_its_test() -> None:
    folder = ROOT / "tests" / "commands"
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("test_*.py")]
    untested = [
        path.stem
        for path in command_modules()
        if not (folder / f"test_{path.stem}.py").exists()
        and not any(re.search(rf"\b{path.stem}\b|\b{path.stem.replace('_', '-')}\b", text) for text in texts)
    ]
    assert command_modules(), "no command was found: has NAME another name now?"
    assert untested == []


def test_every_provider_is_in_the_contract_suite() -> None:
    suite = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "contract").rglob("*.py"))
    assert provider_names(), "no provider was found"
    assert [name for name in provider_names() if f'"{name}"' not in suite] == []


def test_a_test_cannot_reach_another_machine() -> None:
    with socket.socket() as away, pytest.raises(NetworkForbidden):
        away.connect(("192.0.2.1", 9))  # a documentation address, RFC 5737: nobody answers there
    with pytest.raises(NetworkForbidden):
        socket.getaddrinfo("example.invalid", 443)
