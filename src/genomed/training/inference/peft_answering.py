"""The engine `peft`: one base model in memory with its layers, or a layer that is an encoder of its own."""

from pathlib import Path

from ..failures import WorkerFailure
from .answering import Answers
from .asked import ServeSpec
from .engines import Encoder
from .peft_chat import PeftChat


def made(spec: ServeSpec) -> Answers:
    """Raises WorkerFailure."""
    return Answers(PeftChat(spec), _no_encoder)


def _no_encoder(layer: Path | None) -> Encoder:
    raise WorkerFailure("unsupported", f"{layer or 'the base model'} is no encoder", remedy="ask with messages")
