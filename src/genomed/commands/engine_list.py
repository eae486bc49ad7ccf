"""genome/engine-list: what can train on this machine, what cannot and why, and which engine a job gets by itself."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.engines import EngineChoice, EngineOffer
from genomed.entities.types import Role

NAME = "genome/engine-list"
SUMMARY = "List the engines of local training, whether each is available, and which one is chosen here."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """chosen: what a job of chat rows with LoRA gets that names no engine; null where none can train it.

    Other rows and methods may get another engine: genome/job-validate tells of a job, and its log why.
    """

    chosen: EngineChoice | None
    engines: tuple[EngineOffer, ...]


async def run(_: Params, context: Context) -> Result:
    chosen: EngineChoice | None = None
    engines: list[EngineOffer] = []
    for name in context.providers.names():
        able = await context.providers.get(name).capabilities()
        engines += able.engines
        chosen = chosen or able.engine
    return Result(chosen=chosen, engines=tuple(engines))
