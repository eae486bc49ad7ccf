"""How each field of a configuration is told: asked for, sent, adjusted or a default."""

import msgspec

from genomed.adapters._accounting import Sent, account
from genomed.entities.checking import given_paths
from genomed.entities.configuration import JobConfiguration

HUB = "integrations.huggingface"
WISH = {
    "model": {"baseModel": "any"},
    "datasets": {"trainingFileId": "dataset-1"},
    "method": {"type": "lora"},
    "integrations": {"huggingface": {"apiToken": "env:HF", "outputRepoName": "me/repo"}},
}


def test_an_integration_whose_parts_were_given_was_asked_for() -> None:
    told = account(
        msgspec.convert(WISH, JobConfiguration),
        asked=given_paths(WISH),
        parameters={},
        exceptions={HUB: Sent("me/repo", "uploaded afterwards")},
    )
    (hub,) = (field for field in told if field.field == HUB)
    assert (hub.asked, hub.sent, hub.disposition) == ("me/repo", "me/repo", "sent")
