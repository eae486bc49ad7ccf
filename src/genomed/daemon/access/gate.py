"""What every door and the executor share to let people in: who they are, what is theirs, and the book of refusals."""

import time
from collections.abc import Callable

from genomed.commands.context import Caller, CommandModule
from genomed.daemon.access.credentials import Credentials, Doorkeeper, demand
from genomed.daemon.access.owners import Owners
from genomed.daemon.access.refusals import Reason, RefusalBook, Refused
from genomed.daemon.access.tokens import TokenTable
from genomed.daemon.configuration.sections import Access
from genomed.daemon.journal.journal import Journal
from genomed.entities.errors import Forbidden
from genomed.entities.types import Role


class Gate:
    """access: the configuration's section as it is now; another one holds from the next request on, and for open
    streams. data_dir: where layers lie.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        access: Callable[[], Access] = Access,
        data_dir: str | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.doorkeeper = Doorkeeper(access, TokenTable(journal, now_us=now_us))
        self.owners = Owners(journal, data_dir=data_dir)
        self.refusals = RefusalBook(journal, now_us=now_us)

    async def caller(self, shown: Credentials, *, command: str) -> Caller:
        """Raises Forbidden, once that is written down."""
        try:
            return await self.doorkeeper.caller(shown)
        except Forbidden as error:
            await self.refusals.note(error, actor=shown.actor, command=command)
            raise

    async def subscriber(self, shown: Credentials, *, command: str) -> Caller:
        """A caller who may follow the log. Raises Forbidden, once that is written down."""
        caller = await self.caller(shown, command=command)
        try:
            demand(caller, Role.READ, "the event stream")
        except Forbidden as error:
            await self.refusals.note(error, actor=caller.actor, command=command)
            raise
        return caller

    async def of_the_house(self, shown: Credentials, *, command: str) -> Caller:
        """A caller who may read of everybody. Raises Forbidden, once that is written down."""
        caller = await self.subscriber(shown, command=command)
        if caller.personas is None:
            return caller
        message = f"{caller.actor} is bound to personas; {command} tells of the whole house"
        error = Refused(Reason.PERSONA, message, remedy="ask an operator for a role that is bound to none")
        await self.refusals.note(error, actor=caller.actor, command=command)
        raise error

    async def demand(self, caller: Caller, module: CommandModule, given: dict[str, object]) -> None:
        """Raises Forbidden for what this caller may not ask for. The role was looked at before."""
        await self.owners.demand(caller, module, given)
