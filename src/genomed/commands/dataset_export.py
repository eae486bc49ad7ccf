"""genome/dataset-export: one side of a dataset as a file in a format that others read."""

from typing import Literal

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context
from genomed.commands.dataset_view import load_dataset
from genomed.entities.configuration import Name
from genomed.entities.dataset_port import Exported
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.types import Role

NAME = "genome/dataset-export"
SUMMARY = "Write one side of a dataset to a file in another format."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """datasetId: a frozen one. path: where no file is yet; the daemon writes it. format: its name, as dataset-import
    tells it. side: what is trained on or what is held out.
    """

    dataset_id: Name
    path: AbsolutePath
    format: Name
    side: Literal["train", "heldOut"] = "train"


class Result(Exported, frozen=True, kw_only=True, rename="camel"):
    """losses: what the format could not carry."""

    dataset_id: str
    side: str


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound, Unsupported for a format that cannot hold such rows, Conflict where the file exists."""
    dataset = await load_dataset(context, params.dataset_id)
    held_out = params.side == "heldOut"
    if held_out and not dataset.frozen.eval_rows:
        raise InvalidRequest.of([Problem(field="side", message=f"{params.dataset_id} holds out no rows")])
    with context.activities.running(NAME, params.dataset_id) as progress:
        written = await context.datasets.export(
            params.dataset_id, params.path, params.format, held_out=held_out, progress=progress
        )
    return Result(
        dataset_id=params.dataset_id,
        side=params.side,
        path=written.path,
        format=written.format,
        rows=written.rows,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        losses=written.losses,
    )
