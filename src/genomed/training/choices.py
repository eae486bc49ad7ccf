"""Why the trainer's settings are as they are where speed decided, told beside each in a job's effective configuration.

Pure. What is written here was measured by `python -m benchmarks choices`, the alternatives beside one another in one
run; where nothing was measured on a device, it says so. Nothing is decided here: that is done in `settings` and
`optimizations`.
"""

from typing import NamedTuple

BENCHMARK = "python -m benchmarks choices"


class Choice(NamedTuple):
    """A setting of the trainer as the worker has it unasked. on: the device that it was measured on."""

    setting: str
    value: object
    on: str
    because: str


MEASURED = (
    Choice("attn_implementation", "sdpa", "cpu", "faster than eager, and holds no matrix of all pairs of tokens"),
    Choice("loss_type", "chunked_nll", "cpu", "less memory than nll where the vocabulary is large, at about its speed"),
    Choice("bf16", False, "cpu", "bf16 was slower, and needed more memory"),
    Choice("dataloader_num_workers", 0, "cpu", "loader processes bring nothing to rows that lie encoded in memory"),
    Choice("gradient_checkpointing", False, "cpu", "it costs time; asked for, it saves memory"),
    Choice("optim", "adamw_torch_fused", "cpu", "as fast as the plain one, within what rounds differ by"),
)


def note(setting: str, value: object, device: str) -> str | None:
    """None where the value is no choice of ours, but somebody's wish or the only one there is."""
    for choice in MEASURED:
        if (choice.setting, choice.value) == (setting, value):
            return f"{choice.because}: {BENCHMARK}" if choice.on == device else f"not measured on {device} yet"
    return None
