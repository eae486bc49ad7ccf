"""Starts a worker by its path, in an interpreter that need not have genomed installed.

The folder becomes a package of its own name, so that its relative imports hold, and leaves the module path, so that no
library takes a module of ours for one of its own.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = "genomed_training"


def _package() -> str:
    if __package__:
        return __package__
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    found = spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    if found is None or found.loader is None:
        raise ImportError(f"{here} cannot be made a package")
    module = module_from_spec(found)
    sys.modules[PACKAGE] = module
    found.loader.exec_module(module)
    return PACKAGE


if __name__ == "__main__":
    main: Callable[[Sequence[str]], int] = import_module(f"{_package()}.command_line").main
    raise SystemExit(main(sys.argv[1:]))
