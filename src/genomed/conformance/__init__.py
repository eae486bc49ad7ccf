"""The contract suite that every provider adapter passes: ours and third parties'. Needs the extra `conformance`.

Nothing else in genomed imports this room: pytest and hypothesis come with it.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{laws}"
        for laws in ("subject", "honesty_laws", "run_laws", "upload_laws", "trouble_laws", "serving_laws")
    )
)

from genomed.conformance.provider_laws import HonestyLaws, NeverTrainsLaws, ProviderLaws  # noqa: E402 -- rewriting comes first
from genomed.conformance.subject import LIMIT_S, STRANGE_WORD, FaultControls, Subject, Trouble  # noqa: E402 -- the same

__all__ = [
    "LIMIT_S",
    "STRANGE_WORD",
    "FaultControls",
    "HonestyLaws",
    "NeverTrainsLaws",
    "ProviderLaws",
    "Subject",
    "Trouble",
]
