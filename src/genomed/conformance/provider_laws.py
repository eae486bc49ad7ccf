"""What every provider owes us, ours and third parties': all the laws in one class.

Subclass ProviderLaws, name the class Test..., and give it a `subject` fixture (see `subject`). A provider that can
never train anything subclasses NeverTrainsLaws.
"""

from genomed.conformance.honesty_laws import HonestyLaws, NeverTrainsLaws
from genomed.conformance.run_laws import RunLaws
from genomed.conformance.serving_laws import ServingLaws
from genomed.conformance.trouble_laws import TroubleLaws
from genomed.conformance.upload_laws import UploadLaws

__all__ = ["HonestyLaws", "NeverTrainsLaws", "ProviderLaws"]


class ProviderLaws(HonestyLaws, RunLaws, UploadLaws, TroubleLaws, ServingLaws):
    """For a provider that trains."""
