"""A run of Weights & Biases in its offline form: `wandb sync FOLDER` uploads it, from wherever there is a network.

Needs the library's record types, and nothing that it starts. What is told: numbers, and a configuration without paths.
"""

import json
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ..failures import unsupported
from ..specification import Specification, Wandb
from .sink import Facts, SinkBroken, numbers_of, step_of
from .wandb_log import RecordLog


class _Message(Protocol):
    """A protocol buffer of the library's; its fields are seen by name only."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 -- protobuf's own name


class _Records(Protocol):
    def Record(self, **fields: object) -> _Message: ...  # noqa: N802 -- as in the library


class OfflineRun:
    name = "wandb"

    def __init__(self, folder: Path, wanted: Wandb, spec: Specification) -> None:
        """Raises WorkerFailure unsupported where the library is not installed."""
        try:
            self._records = cast(_Records, import_module("wandb.proto.wandb_internal_pb2"))
        except ImportError as missing:
            raise unsupported(
                "integrations.wandb", wanted.project, f"its library is not installed: {missing}",
                remedy="pip install 'genomed[wandb]', or leave it out",
            ) from missing  # fmt: skip
        run = f"{spec.job_id}-{spec.attempt}"
        began = time.time()
        home = folder / "wandb" / f"offline-run-{time.strftime('%Y%m%d_%H%M%S', time.gmtime(began))}-{run}"
        home.mkdir(parents=True)
        self._log, self._number, self._began, self._step = RecordLog(home / f"run-{run}.wandb"), 0, began, 0
        self._summary: dict[str, float] = {}
        self._pending: dict[str, float] = {}
        self._write(
            run={
                "run_id": run,
                "project": wanted.project,
                "display_name": wanted.run_name or spec.job_id,
                "run_group": spec.job_id,
                "host": "genomed",
                "config": {"update": _items(configuration(spec), "key")},
                "start_time": {"seconds": int(began), "nanos": int(began % 1 * 1e9)},
            }
        )

    def take(self, kind: str, facts: Facts) -> None:
        """Numbers of one step are one row of its history, whether a step, an evaluation or a judgement told them."""
        found = numbers_of(kind, facts)
        step = step_of(facts)
        try:
            if step is not None and step > self._step:
                self._flush()
                self._step = step
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble
        self._pending |= found
        self._summary |= found

    def _flush(self) -> None:
        if not self._pending:
            return
        now = time.time()
        row = {**self._pending, "_step": self._step, "_timestamp": now, "_runtime": now - self._began}
        self._write(history={"item": _items(row, "nested_key"), "step": {"num": self._step}})
        self._pending = {}

    def close(self, *, well: bool) -> None:
        runtime = int(time.time() - self._began)
        try:
            self._flush()
            self._write(summary={"update": _items({**self._summary, "_step": self._step}, "nested_key")})
            self._write(exit={"exit_code": 0 if well else 1, "runtime": runtime})
            self._log.close()
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble

    def _write(self, **record: object) -> None:
        self._number += 1
        self._log.write(self._records.Record(num=self._number, **record).SerializeToString())


def _items(values: Mapping[str, object], key: str) -> list[dict[str, object]]:
    """nested_key is a path of names, here of one each."""
    return [
        {key: [name] if key == "nested_key" else name, "value_json": json.dumps(held)} for name, held in values.items()
    ]


def configuration(spec: Specification) -> dict[str, object]:
    """What was asked for, without a path of this machine and without a row."""
    optimizer, schedule, lora = spec.optimizer, spec.schedule, spec.method.lora
    return {
        "baseModel": Path(spec.base_model).name,
        "revision": spec.revision,
        "engine": spec.engine,
        "method": spec.method.type,
        "rank": None if lora is None else lora.rank,
        "alpha": None if lora is None else lora.alpha,
        "rowKind": spec.dataset.kind,
        "rows": spec.dataset.rows,
        "heldOutRows": spec.dataset.eval_rows,
        "datasetSha256": spec.dataset.sha256,
        "epochs": schedule.epochs,
        "batchSize": schedule.batch_size,
        "gradientAccumulation": schedule.gradient_accumulation,
        "learningRate": optimizer.learning_rate,
        "weightDecay": optimizer.weight_decay,
        "scheduler": optimizer.scheduler.type,
        "seed": spec.seed,
    }
