"""What the contract's subjects ask for: a dataset's facts, and configurations in a line."""

import msgspec

from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import RowKind

DATASET = DatasetFacts(
    dataset_id="dataset-1", row_kind=RowKind.CHAT, rows=4, eval_rows=2, size_bytes=100, longest_row_bytes=50
)
REPORTED = {"wandb": {"project": "p"}}


def configuration(base_model: str, **sections: object) -> JobConfiguration:
    whole = {
        "model": {"baseModel": base_model},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": "lora"},
        **sections,
    }
    return msgspec.convert(whole, JobConfiguration)
