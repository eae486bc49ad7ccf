"""Where a recipe's own code ends: whatever it raises becomes a failure with a type, and the daemon runs on.

A recipe may be somebody else's. What it raises may quote training text, so only the kind and the place of it are told.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from genomed.entities.errors import GenomeError, Internal

log = logging.getLogger(__name__)


class Defect(Internal):
    """Code did what its author did not foresee: doing it again would end the same way."""


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """For one call of a recipe's code. what: of whom, for people.

    GenomeError and ValueError pass, also out of a group: the first is ours, the second says that an answer cannot be
    read. Everything else is raised as Defect.
    """
    try:
        yield
    except (GenomeError, ValueError):
        raise
    except Exception as failure:  # noqa: BLE001  (the rim: it is told and raised as Defect)
        cause = _first(failure)
        if isinstance(cause, GenomeError | ValueError):
            raise cause from None
        frames = "".join(traceback.format_tb(failure.__traceback__)).rstrip()
        log.error("%s raised %s\n%s", what, type(cause).__name__, frames)  # noqa: TRY400  (its text stays out of the log)
        raise Defect(f"{what} raised {type(cause).__name__}; the daemon's log says where") from None


def _first(failure: BaseException) -> BaseException:
    """The first failure of a task group that a recipe opened."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
