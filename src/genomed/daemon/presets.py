"""The presets and prompts that ship with the daemon, and those of its configuration over them. Read once."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from anyio import Lock, to_thread

from genomed.entities.checking import convert
from genomed.entities.errors import InvalidRequest
from genomed.entities.presets import Shelf, preset_problems

SHIPPED = Path(__file__).with_name("presets.toml")


class PresetFile:
    """Fulfils commands.context.Presets. own: what the operator's configuration adds or replaces, as it is now."""

    def __init__(self, own: Callable[[], Shelf]) -> None:
        self._own = own
        self._shipped: Shelf | None = None
        self._reading = Lock()

    async def shelf(self) -> Shelf:
        async with self._reading:
            if self._shipped is None:
                self._shipped = await to_thread.run_sync(shipped)
            return self._shipped.with_those_of(self._own())


def shipped() -> Shelf:
    """What lies beside this module. Raises InvalidRequest that names every problem: a defect of ours."""
    shelf = convert(tomllib.loads(SHIPPED.read_text(encoding="utf-8")), Shelf)
    if wrong := [problem for name, preset in shelf.presets.items() for problem in preset_problems(name, preset)]:
        raise InvalidRequest.of(wrong)
    return shelf
