"""Whose a thing is, and so what a caller who is bound to some personas may name and see. In doubt: nothing.

Knows the log's states. What names a thing in a request, `access_table` says.
"""

from os.path import realpath
from pathlib import PurePath

from anyio import to_thread
from msgspec import Struct

from genomed.commands.context import Caller, CommandModule
from genomed.daemon.access.refusals import Reason, Refused
from genomed.daemon.access.table import (
    ABOUT_THE_HOUSE,
    OF_EVERYBODY,
    Claim,
    Guarded,
    Owned,
    Plan,
    claims,
    plan_of,
    short,
)
from genomed.daemon.journal.journal import Journal
from genomed.entities.bucket import Bucket
from genomed.entities.dataset import Dataset
from genomed.entities.deployment import Deployment
from genomed.entities.draft import Draft
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.forgetting import Forgetting
from genomed.entities.interaction import Interaction
from genomed.entities.job import Job
from genomed.entities.layer import Layer
from genomed.entities.recipe import Run
from genomed.entities.review import Batch, Item
from genomed.entities.self_task import SelfTask

REMEMBERED = 8192
"""Owners of streams, which never change."""

_BUCKET = "SELECT persona_id FROM buckets WHERE bucket_id = ?"
_LAYERS = "SELECT layer_id, persona_id, position FROM layers WHERE position > ? ORDER BY position"


class Within(Struct, frozen=True):
    """What a state says of its owner: who, or another stream that knows."""

    persona: str | None = None
    stream: str | None = None


class Owners:
    """data_dir: where layers of all personas lie, so that none of them is taken for a base model."""

    def __init__(self, journal: Journal, *, data_dir: str | None = None) -> None:
        self._journal = journal
        self._data_dir = data_dir
        self._known: dict[str, str] = {}
        self._hosted: dict[str, set[str]] = {}
        self._layers_seen = 0

    async def demand(self, caller: Caller, module: CommandModule, given: dict[str, object]) -> None:
        """Raises Refused for a bound caller, unless all that is named is its own, and something is."""
        if caller.personas is None:
            return
        plan = plan_of(module.NAME, module.Params)
        _demand_decided(caller, module.NAME, plan)
        named = claims(plan, given)
        for claim in named:
            await self._demand_own(caller, module.NAME, claim)
        if any(isinstance(claim.holds, Owned) for claim in named) or short(module.NAME) in ABOUT_THE_HOUSE:
            return
        raise Refused(
            Reason.PERSONA,
            f"{caller.actor} may act for {_names(caller)}, and this names nobody",
            field="personaId" if ("personaId",) in [place.path for place in plan.places] else None,
            remedy=f"give {_owned_fields(plan)}",
        )

    async def sees(self, personas: frozenset[str] | None, stream: str) -> bool:
        """Whether a caller bound to `personas` (null: to none) may see this stream's events."""
        return personas is None or await self.of_stream(stream) in personas

    async def of_stream(self, stream: str) -> str | None:
        """Whose it is; null for what is nobody's, or everybody's."""
        found = self._known.get(stream)
        if found is None:
            found = await self._look_up(stream)
            if found is not None:
                if len(self._known) >= REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._known[stream] = found
        return found

    async def _look_up(self, stream: str) -> str | None:
        kind, _, own = stream.partition("/")
        match kind:
            case "genome" | "consent":
                return own or None
            case "guard":
                return own.partition("/")[2] or None
            case "recipe_item":
                return await self.of_stream(f"recipe/{own.partition(':')[0]}")
            case "bucket":
                found = await self._journal.query(_BUCKET, (own,))
                if found:
                    return str(found[0][0])
            case _:
                pass
        within = _within((await self._journal.load(stream)).state)
        return within.persona if within.stream is None else await self.of_stream(within.stream)

    async def _demand_own(self, caller: Caller, command: str, claim: Claim) -> None:
        whose: str | None = None
        match claim.holds:
            case Owned.PERSONA:
                whose = claim.name
            case Owned():
                whose = await self.of_stream(f"{claim.holds.value}/{claim.name}")
            case Guarded.MODEL:
                if await self._is_free(caller, claim.name):
                    return
            case Guarded.FOREIGN:
                raise Refused(
                    Reason.PERSONA,
                    f"{caller.actor} is bound to {_names(caller)}; {claim.field} of {command} leads beyond them",
                    field=claim.field,
                    remedy="ask an operator to do it",
                )
        if caller.personas is None or whose not in caller.personas:
            raise Refused(
                Reason.PERSONA,
                f"{caller.actor} may act for {_names(caller)}; {claim.field} names something else, or nothing",
                field=claim.field,
                remedy="name something of theirs",
            )

    async def _is_free(self, caller: Caller, model: str) -> bool:
        """Whether no other persona's words can be in a model of this name: no layer's files, no hosted layer."""
        if "/" in model and self._data_dir is not None:
            if ".." in PurePath(model).parts:  # relative to where nobody here knows
                return False
            place, ours = await to_thread.run_sync(lambda: (realpath(model), realpath(self._data_dir or "/")))
            if PurePath(place).is_relative_to(ours):
                return False
        for layer_id, persona, position in await self._journal.query(_LAYERS, (self._layers_seen,)):
            state = (await self._journal.load(f"layer/{layer_id!s}")).state
            if isinstance(state, Layer):
                self._hosted.setdefault(state.published.artifact.location, set()).add(str(persona))
            self._layers_seen = max(self._layers_seen, int(position or 0))
        return caller.personas is not None and self._hosted.get(model, set()) <= caller.personas


def _demand_decided(caller: Caller, command: str, plan: Plan) -> None:
    """Raises Refused for commands that nobody who is bound may use."""
    name = short(command)
    instead = OF_EVERYBODY.get(name)
    if instead is None and not plan.unknown and (plan.names_owned or name in ABOUT_THE_HOUSE):
        return
    raise Refused(
        Reason.PERSONA,
        f"{caller.actor} is bound to {_names(caller)}; {command} is about more than them",
        remedy=instead or "ask an operator",
    )


def _within(state: object | None) -> Within:
    match state:
        case Job() | Draft() | Batch():
            return Within(persona=state.persona_id)
        case Dataset():
            return Within(persona=state.frozen.persona_id)
        case Layer():
            return Within(persona=state.published.persona_id)
        case Interaction() | SelfTask():
            return Within(persona=state.bucket.persona_id)
        case Bucket():
            return Within(persona=state.key.persona_id)
        case Run():
            return Within(persona=state.started.persona_id)
        case ErrandRecord():
            return Within(persona=state.requested.persona_id)
        case Forgetting():
            return Within(persona=state.requested.persona_id)
        case Item():
            return Within(stream=f"review/{state.batch_id}")
        case Deployment():
            return Within(stream=f"layer/{state.requested.layer_id}")
        case _:
            return Within()


def _owned_fields(plan: Plan) -> str:
    fields = [place.path[0] for place in plan.places if isinstance(place.holds, Owned)]
    return " or ".join(sorted(set(fields), key=lambda field: (field != "personaId", field))) or "what is meant"


def _names(caller: Caller) -> str:
    return ", ".join(sorted(caller.personas or ())) or "nobody"
