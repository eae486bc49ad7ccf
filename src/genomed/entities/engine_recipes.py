"""What each engine's environment is made of: the same list says what is installed and what is looked for.

Data and text only. Sources of the bounds: each package's own requirements, as pip resolved them in November 2026.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from genomed.entities.engines import EngineName

Version = tuple[int, ...]


class Package(Struct, frozen=True, kw_only=True):
    """name: of the distribution. below: the first version that is known, or feared, not to fit."""

    name: str
    at_least: str | None = None
    below: str | None = None
    extra: str | None = None
    marker: str | None = None

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        bounds = [f">={self.at_least}"] * (self.at_least is not None) + [f"<{self.below}"] * (self.below is not None)
        extra = f"[{self.extra}]" if self.extra else ""
        return f"{self.name}{extra}{','.join(bounds)}" + (f"; {self.marker}" if self.marker else "")

    def conflict(self, there: str) -> str | None:
        """Why the installed version does not do; None where it does."""
        found = numbers(there)
        low = self.at_least is None or found >= numbers(self.at_least)
        high = self.below is None or found < numbers(self.below)
        bounds = self.requirement.partition(";")[0].strip()
        return None if low and high else f"{self.name} {there} is installed, {bounds} is needed"


class Recipe(Struct, frozen=True, kw_only=True):
    """first: installed by itself, for others look at it while they are built. python: versions it runs on, the second
    one not included.
    """

    engine: EngineName
    first: tuple[Package, ...]
    packages: tuple[Package, ...]
    python: tuple[str, str]

    @property
    def needed(self) -> tuple[Package, ...]:
        return (*self.first, *self.packages)


def numbers(version: str) -> Version:
    """`2.13.0+cpu` -> (2, 13), for 2.13.0 is 2.13. A pre-release counts as what it comes before."""
    found = [int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version, maxsplit=1)[0])]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


TORCH = Package(name="torch", at_least="2.13", below="3")
TRANSFORMERS = Package(name="transformers", at_least="5.17", below="6")
PEFT = Package(name="peft", at_least="0.21", below="1")

RECIPES: Mapping[EngineName, Recipe] = {
    recipe.engine: recipe
    for recipe in (
        Recipe(
            engine=EngineName.TRL,
            first=(TORCH,),
            packages=(
                TRANSFORMERS,
                Package(name="trl", at_least="1.13", below="2"),
                PEFT,
                Package(name="accelerate", at_least="1.15", below="2"),
                Package(name="datasets", at_least="5.0.1", below="6"),
                Package(name="sentence-transformers", at_least="6.0.1", below="7"),
            ),
            python=("3.11", "3.15"),
        ),
        Recipe(
            engine=EngineName.UNSLOTH,
            # Since 2026.10 it takes a TRL whose names are ours; it caps torch, TRL, transformers and datasets itself,
            # release by release, which is why it lives apart.
            first=(Package(name="torch", at_least="2.4"),),
            packages=(
                Package(name="unsloth", at_least="2026.10"),
                Package(name="trl", at_least="1.13", below="2"),
                TRANSFORMERS,
                PEFT,
                Package(name="bitsandbytes", at_least="0.45"),
            ),
            python=("3.11", "3.14"),
        ),
        Recipe(
            engine=EngineName.MLX,
            # On Linux mlx-lm does not bring mlx by itself, and of its builds the one for the CPU runs everywhere.
            first=(),
            packages=(
                Package(name="mlx", at_least="0.32", below="1", marker='sys_platform == "darwin"'),
                Package(name="mlx", at_least="0.32", below="1", extra="cpu", marker='sys_platform == "linux"'),
                Package(name="mlx-lm", at_least="0.32", below="1"),
            ),
            python=("3.11", "3.15"),
        ),
        Recipe(
            engine=EngineName.AXOLOTL,
            first=(Package(name="torch", at_least="2.6"),),
            packages=(Package(name="axolotl", at_least="0.12", below="1"),),
            python=("3.11", "3.14"),
        ),
        Recipe(
            engine=EngineName.TORCHTUNE,
            # torchao 0.16 no longer has what torchtune 0.6.1, the last one, imports of it.
            first=(Package(name="torch", at_least="2.6"), Package(name="torchao", at_least="0.9", below="0.16")),
            packages=(
                Package(name="torchtune", at_least="0.6", below="0.7"),
                TRANSFORMERS,  # and peft: what it trained is judged and proved in them
                Package(name="peft", at_least="0.17", below="0.19"),  # later ones refuse a torchao below 0.16
                Package(name="datasets", at_least="4", below="6"),
            ),
            python=("3.11", "3.14"),
        ),
    )
}
"""The lowest Python is the worker's own."""


def supports_python(recipe: Recipe, version: str) -> bool:
    low, high = recipe.python
    return numbers(low) <= numbers(version)[:2] < numbers(high)
