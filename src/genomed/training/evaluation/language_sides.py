"""Language models as the sides of an evaluation: layers over one base, or whole models; judged as in training.

Templates, greedy decoding and what counts are `judge`'s, so that a number here means what it means in a job.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import engine, judge, kto, model, raft, rows, trust
from ..attempt import peak_memory
from ..engine import Model, Tokenizer
from ..hardware import look
from ..judge import Bench, Judgement
from ..verdicts import raft_judgement
from .options import EvaluateOptions, Side
from .sides import Judged, Pair, Pause

if TYPE_CHECKING:
    import torch


class House(NamedTuple):
    """What both sides share."""

    options: EvaluateOptions
    tokenizer: Tokenizer
    base: Model
    origin: dict[str, object]


def judged(options: EvaluateOptions, *, offline: bool, pause: Pause) -> Pair:
    """Raises WorkerFailure, or what `pause` raises."""
    house = _house(options, offline=offline)
    measure = _measure(house, _bench(house, pause))
    return Pair(candidate=_timed(house, options.candidate, measure), baseline=_timed(house, options.baseline, measure))


def _house(options: EvaluateOptions, *, offline: bool) -> House:
    local = Path(options.base_model).is_dir()
    origin: dict[str, object] = {
        "revision": None if local else options.revision,
        "local_files_only": offline,
        "trust_remote_code": False,
    }
    if local:
        model.refuse_unsafe(Path(options.base_model))
    for layer in {options.candidate.layer, options.baseline.layer} - {None}:
        trust.check_layer(Path(str(layer)), base_model=options.base_model)
    tokenizer = engine.load_tokenizer(options.base_model, **origin)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return House(options, tokenizer, _weights(options, options.base_model, origin), origin)


def _weights(options: EvaluateOptions, source: str, origin: dict[str, object]) -> Model:
    import torch

    loaded = model.load_weights(source, dtype=_dtype(options), attn_implementation="sdpa", **origin)
    loaded.to(torch.device(look().device.kind))
    return loaded


def _dtype(options: EvaluateOptions) -> "torch.dtype":
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[options.precision]


def _bench(house: House, pause: Pause) -> Bench:
    options = house.options
    return Bench(
        tokenizer=house.tokenizer,
        stops=rows.stop_ids(house.tokenizer, house.base.generation_config.eos_token_id),
        batch=options.batch_size,
        max_new_tokens=options.max_new_tokens,
        samples=0,
        pause=pause,
    )


def _measure(house: House, bench: Bench) -> Callable[[Model], Judgement]:
    options, path = house.options, Path(house.options.rows)
    if options.row_kind == "preference":
        pairs = rows.read_preferences(path)
        reference = judge.preferred(house.base, pairs, bench)
        return lambda side: judge.judge_preferences(
            pairs, judge.preferred(side, pairs, bench), reference, beta=options.beta
        )
    if options.row_kind == "labelled":
        rated = kto.read_labelled(path)
        plain = kto.scores(house.base, rated, bench)
        return lambda side: kto.judge_labelled(rated, kto.scores(side, rated, bench), plain, beta=options.beta)
    if options.row_kind == "raft":
        asked = raft.read_raft(path)
        return lambda side: raft_judgement(side, asked, bench)
    held = rows.read_chat(path)
    return lambda side: judge.judge_chat(side, held, bench)


def _timed(house: House, side: Side, measure: Callable[[Model], Judgement]) -> Judged:
    with _standing(house, side) as judged_model:
        began = time.monotonic()
        found = measure(judged_model)
        return Judged(found, time.monotonic() - began, peak_memory())


@contextmanager
def _standing(house: House, side: Side) -> Iterator[Model]:
    """The model that stands for a side; the base is as it was before, afterwards."""
    if side.layer is None:
        yield house.base
    elif model.is_lora(Path(side.layer)):
        model.layer_config(Path(side.layer))
        layered = model.attach_layer(house.base, Path(side.layer), trainable=False)
        try:
            yield layered
        finally:
            model.detach(layered)
    else:
        yield _weights(house.options, side.layer, {"local_files_only": True, "trust_remote_code": False})
