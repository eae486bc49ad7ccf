"""log-rebuild mends read models that differ from the log; events stay as they are; only an administrator may."""

import sqlite3
from contextlib import closing

from tests.daemon.daemon_rig import Rig

from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role


async def test_a_read_model_that_differs_is_made_anew_and_no_event_changes(quiet: Rig) -> None:
    await quiet.captures(3)
    with closing(sqlite3.connect(quiet.data_dir / "journal.db")) as other:  # a hand that should not be there
        other.execute("UPDATE examples SET quality = 0.123")
        other.commit()
    assert (await quiet.call("log-verify"))["ok"] is False
    head = quiet.journal.head()
    assert (await quiet.call("log-rebuild"))["head"]["position"] == head.position
    assert (await quiet.call("log-verify"))["ok"] is True
    assert quiet.journal.head() == head
    await quiet.captures(1)


async def test_an_operator_may_not_rebuild(quiet: Rig) -> None:
    error = await quiet.refused("log-rebuild", caller=Caller(actor="uid:1001", role=Role.OPERATE))
    assert error.kind is ErrorKind.FORBIDDEN
