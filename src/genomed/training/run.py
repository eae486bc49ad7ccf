"""Which program does a job: by its engine, or by what its rows are. Each is loaded only when it is its turn."""

from importlib import import_module

from . import engine
from .attempt import Attempt
from .protocol import Progress, Wishes
from .sinks import attachment
from .specification import Specification

OF_ROWS = {
    "chat": "language_run",
    "preference": "language_run",
    "labelled": "language_run",
    "raft": "language_run",
    "triplet": "encoders.embedding_run",
    "ranking": "encoders.reranker_run",
    "vector_pair": "projection.projection_run",
}
"""Row kind -> module with `attempt(shared)`, for the engine that came first."""

OF_ENGINES = {
    "unsloth": "engines.unsloth_run",
    "mlx": "engines.mlx_run",
    "axolotl": "engines.axolotl_run",
    "torchtune": "engines.torchtune_run",
}


def attempt(spec: Specification, progress: Progress, wishes: Wishes) -> None:
    """Raises Stopped, WorkerFailure, or whatever an engine raises."""
    engine.prepare(offline=spec.offline)
    attachment.attach(spec, progress)
    name = OF_ENGINES.get(spec.engine) or OF_ROWS[spec.dataset.kind]
    import_module(f".{name}", __package__).attempt(Attempt(spec, progress, wishes))
