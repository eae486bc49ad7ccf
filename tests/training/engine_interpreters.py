"""Interpreters of engines that cannot share ours: their tests are skipped where the engine is not installed.

ENGINES_FOLDER names a folder of environments, one for each engine, as `genome engine install` makes them below a
data folder; build/engines is looked into without it.
"""

import os
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "engines"


def interpreter(engine: str) -> str:
    """Skips the test where there is none."""
    folder = Path(os.environ.get("ENGINES_FOLDER", BUILT))
    python = folder / engine / "bin" / "python"
    if not python.exists():
        pytest.skip(f"engine {engine} is not installed below {folder.name}: ENGINES_FOLDER names another folder")
    return str(python)
