"""Local training: this machine's own CPU or GPU, in a worker process that outlives the daemon.

Nothing here imports an engine. What a worker needs to know is written into its folder, what it says is read from there;
no fact about a job lives in this process.
"""

from genomed.adapters.local.local_provider import LocalProvider
from genomed.entities.ports import ProviderContext


def provider(context: ProviderContext) -> LocalProvider:
    """Raises InvalidRequest for a setting that does not exist or is out of range."""
    return LocalProvider(context)
