"""The state with the lowest loss on held-out rows, put back when a run has ended: the same for every engine that writes
checkpoints.
"""

from collections.abc import Callable, Collection

from . import checkpoints
from .attempt import Attempt
from .callbacks import Watch
from .checkpoints import Checkpoint
from .failures import WorkerFailure
from .specification import Specification


def demand_evaluations(spec: Specification, evaluate_at: Collection[int]) -> None:
    """Raises WorkerFailure unsupported where something is to be decided by evaluations that will not be."""
    if (spec.schedule.early_stopping or spec.schedule.keep_best) and not evaluate_at:
        message = "early stopping and the best checkpoint need evaluations on held-out rows, and there are none"
        raise WorkerFailure("unsupported", message, remedy="hold rows out and ask for evaluations, or leave both out")


def put_back(shared: Attempt, watch: Watch, restore: Callable[[Checkpoint], object]) -> None:
    """Where the job asked for it and the last step is not the best one."""
    best = watch.standing.best_step
    if not shared.spec.schedule.keep_best or best is None or best == watch.step:
        return
    found = checkpoints.of_step(shared.checkpoints, best, shared.run)
    if found is None:
        message = f"the checkpoint of step {best} does not verify any more: the layer is that of step {watch.step}"
        shared.notice("best_checkpoint_lost", message)
        return
    restore(found)
    loss = watch.standing.best_loss
    shared.notice("best_checkpoint_kept", f"the layer is that of step {best}, with a held-out loss of {loss}")
