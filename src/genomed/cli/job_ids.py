"""Job ids as people type them: a beginning that fits one job only is enough."""

import msgspec

from genomed.cli.arguments import Document
from genomed.cli.failures import Usage
from genomed.cli.transport import Wire
from genomed.entities.errors import Problem

PREFIX = "job-"
WHOLE_ID_CHARACTERS = len(PREFIX) + 26
"""See entities/ids.py."""
MOST_JOBS = 200
"""One page of genome/job-list: the newest. Older jobs are named whole."""
MOST_SHOWN = 5


def whole_job_id(wire: Wire, typed: str) -> str:
    """The one job whose id begins so; `typed` itself if it is whole. Raises Usage naming the jobs that fit."""
    if len(typed) >= WHOLE_ID_CHARACTERS:
        return typed
    wanted = typed if typed.startswith(PREFIX) else PREFIX + typed
    listed = msgspec.json.decode(wire.call("genome/job-list", {"limit": MOST_JOBS}).result)
    fitting = [job["jobId"] for job in listed["jobs"] if job["jobId"].startswith(wanted)]
    if typed in fitting or not fitting:
        return typed  # the daemon says that there is no such job
    if len(fitting) > 1:
        more = f" and {len(fitting) - MOST_SHOWN} more" if len(fitting) > MOST_SHOWN else ""
        raise Usage.of(
            [
                Problem(
                    field="jobId",
                    message=f"{typed!r} fits {len(fitting)} jobs",
                    remedy=f"type more of one: {', '.join(fitting[:MOST_SHOWN])}{more}",
                )
            ]
        )
    return str(fitting[0])


def with_whole_job_id(wire: Wire, params: Document) -> Document:
    typed = params.get("jobId")
    return {**params, "jobId": whole_job_id(wire, typed)} if isinstance(typed, str) else params
