"""What a model says to a few fixed inputs, before and after a layer is merged into it."""

from typing import TYPE_CHECKING

from ..engine import Model
from .causal_verification import rows_of

if TYPE_CHECKING:
    from torch import Tensor

ROWS, LONGEST = 4, 24
"""Of random tokens: enough that every weight takes part."""


def no_probe(_: object) -> "Tensor":
    import torch

    return torch.zeros(())


def logits_of(model: Model) -> "Tensor":
    """(tokens of all rows, vocabulary), in fp32."""
    import torch

    words = int(_embeddings(model).shape[0])
    found = []
    with torch.inference_mode():
        for row in rows_of(ROWS, LONGEST, words, seed=7):
            said = model(input_ids=torch.tensor([row]), use_cache=False).logits
            found.append(said[0].float())
    return torch.cat(found)


def _embeddings(model: Model) -> "Tensor":
    """The table of the words, which every such model has as its first input."""
    held = dict(model.named_modules())
    from torch import nn

    return next(one.weight for one in held.values() if isinstance(one, nn.Embedding))


TEXTS = ("The weather is fine today.", "Reset the password of my account", "a", "One two three four five six seven.")
PAIRS = tuple((TEXTS[at], TEXTS[(at + 1) % len(TEXTS)]) for at in range(len(TEXTS)))
