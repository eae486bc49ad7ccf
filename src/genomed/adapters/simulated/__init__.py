"""A provider that trains nothing and says so: for tests, demonstrations and reading. Faults on request.

Read it as the shape of every adapter: capabilities, check, translate, submit, find, poll, stop, publish. The other
side of the wire is `remote`. Same inputs, same numbers; all of them are made up and marked as simulated.
"""

from genomed.adapters.simulated.simulated_provider import Simulated
from genomed.entities.ports import ProviderContext

__all__ = ["Simulated", "provider"]


def provider(context: ProviderContext) -> Simulated:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return Simulated(context)
