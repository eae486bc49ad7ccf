"""What passes when this machine cannot do something now, and how it is told."""

from collections.abc import Callable
from errno import EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC
from typing import TypeVar

from anyio import to_thread

from genomed.entities.errors import Transient

SCARCE = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk's quota is used up",
    EMFILE: "the daemon may open no more files",
    ENFILE: "this machine may open no more files",
    EAGAIN: "no further process may be started now",
    ENOMEM: "this machine has no memory left",
}
"""Wants that pass: no reason to give a job up."""

T = TypeVar("T")


async def looked(work: Callable[[], T]) -> T:
    """In a thread. A disk or a machine that fails us says nothing of the worker: the job waits, and is asked again."""
    try:
        return await to_thread.run_sync(work)
    except OSError as trouble:
        raise Transient(f"the attempt's folder cannot be used now: {trouble}", provider="local") from trouble
