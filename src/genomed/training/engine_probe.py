"""Looks at an interpreter's environment and prints it as one JSON object. Run by that interpreter, by its path.

The standard library alone, and no engine is ever imported: one of them patches other libraries as it is imported, and
raises where there is no GPU. torch is imported only where it is asked for (`--device`). Any Python from 3.10 runs it.
"""

import importlib
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path


def main(arguments: "list[str]") -> int:
    """arguments: names of distributions; `--device` asks torch, too; `--own=NAME` asks what a distribution needs."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    names = [name for name in arguments if not name.startswith("--")]
    own = [option[len("--own=") :] for option in arguments if option.startswith("--own=")]
    found = {
        "python": platform.python_version(),
        "versions": {name: there for name in names if (there := _version(name)) is not None},
        "conflicts": [conflict for name in own for conflict in conflicts(name)],
        "device": _device() if "--device" in arguments else None,
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _version(name: str) -> "str | None":
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def conflicts(name: str) -> "list[str]":
    """What the installed distribution asks of others and does not get, by its own metadata; extras left aside.

    Says nothing where `packaging` is not there to read it with: every engine's environment has it.
    """
    try:
        library = importlib.import_module("packaging.requirements")
        wanted = [library.Requirement(line) for line in requires(name) or ()]
    except (ImportError, PackageNotFoundError):
        return []
    told = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        there = _version(requirement.name)
        if there is not None and not requirement.specifier.contains(there, prereleases=True):
            told.append(f"{name} needs {requirement.name}{requirement.specifier}, and {there} is installed")
    return told


def _device() -> "str | None":
    """What torch of this environment sees: another one may be built for another driver."""
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    except (ImportError, OSError, RuntimeError):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
