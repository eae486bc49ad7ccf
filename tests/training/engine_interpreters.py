"""Interpreters of engines that cannot share ours. `make engines` builds those that this machine can have."""

import os
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "engines"


def interpreter(engine: str) -> str:
    """Skips the test where there is none. GENOMED_TEST_ENGINES: another folder of environments."""
    python = Path(os.environ.get("GENOMED_TEST_ENGINES", BUILT)) / engine / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment of engine {engine} here: make engines builds it")
    return str(python)
