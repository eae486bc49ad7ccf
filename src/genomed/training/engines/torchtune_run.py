"""One attempt with torchtune, by its command: the recipe for a LoRA on a single device."""

import json
import shutil
from pathlib import Path

from ..attempt import Attempt
from ..failures import WorkerFailure
from ..model import LAYER_CONFIG, LAYER_WEIGHTS
from ..specification import Specification
from . import by_command_line
from .by_command_line import Driven, Run, program
from .torchtune_config import PARTS, Base, configuration, refuse
from .torchtune_words import heard

RECIPE = "lora_finetune_single_device"


def attempt(shared: Attempt) -> None:
    by_command_line.attempt(
        shared,
        Driven(
            name="torchtune",
            refuse=refuse,
            steps=steps,
            configure=_configure,
            command=lambda config: (program("tune"), "run", RECIPE, "--config", str(config)),
            hear=heard,
            layer=_layer,
        ),
    )


def steps(spec: Specification, rows: int) -> int:
    """Its loader leaves a short batch out, and its loop what does not fill an accumulation."""
    schedule = spec.schedule
    return rows // schedule.batch_size // schedule.gradient_accumulation * schedule.epochs


def _configure(run: Run) -> dict[str, object]:
    base = Path(run.spec.base_model)
    shutil.copyfile(Path(__file__).with_name("torchtune_parts.py"), run.rows.with_name(f"{PARTS}.py"))
    pad_id = run.tokenizer.pad_token_id
    return configuration(
        run.spec,
        Base(
            config=json.loads((base / "config.json").read_bytes()),
            shards=sorted(path.name for path in base.glob("*.safetensors")),
            pad_id=0 if pad_id is None else pad_id,
        ),
        rows=run.rows,
        out=run.out,
        precision=run.chosen.precision,
        steps=run.steps,
        device=run.hardware.device.kind,
    )


def _layer(run: Run) -> Path:
    """Its weights under PEFT's names, with a configuration that says what PEFT needs to know; its own says less."""
    made, folder, lora = run.out / f"epoch_{run.spec.schedule.epochs - 1}", run.out / "layer", run.spec.method.lora
    if lora is None or not (made / LAYER_WEIGHTS).exists():
        raise WorkerFailure("training_failed", f"torchtune left no {LAYER_WEIGHTS} in {made}")
    folder.mkdir()
    shutil.copyfile(made / LAYER_WEIGHTS, folder / LAYER_WEIGHTS)
    its_own = json.loads((made / LAYER_CONFIG).read_bytes())
    layer = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": run.spec.base_model,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "bias": "none",
        "target_modules": its_own["target_modules"],
    }
    (folder / LAYER_CONFIG).write_text(json.dumps(layer, indent=1), encoding="utf-8")
    return folder
