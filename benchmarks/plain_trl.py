"""Fine-tuning as TRL's documentation shows it: model, rows, SFTConfig, SFTTrainer, train.

`python plain_trl.py GIVEN.json`, with `model`, `train`, `lora`, `settings` (of SFTConfig) and `steps`, the file in
which it leaves a line per logged step; optionally `attention`, `dtype` and `vocabulary`, how many tokens the model
shall know. Runs by path and knows nothing of genomed.
"""

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    set_seed,
)
from transformers import TrainingArguments as Args
from trl import SFTConfig, SFTTrainer


class Steps(TrainerCallback):
    """When each step was logged, and how many tokens the trainer had seen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[dict[str, float]] = []

    def on_log(self, args: Args, state: TrainerState, control: TrainerControl, **told: dict[str, float]) -> None:  # noqa: ARG002
        logs = told["logs"]
        if "loss" in logs:
            line = {"at": time.time(), "step": state.global_step, "tokensSeen": logs["num_tokens"]}
            device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
            self._lines.append({**line, "loss": logs["loss"], "deviceBytes": device})

    def on_train_end(self, args: Args, state: TrainerState, control: TrainerControl, **_: object) -> None:  # noqa: ARG002
        self._path.write_text("".join(json.dumps(line) + "\n" for line in self._lines), encoding="utf-8")


def main(given: dict[str, str]) -> None:
    torch.set_num_threads(int(given["threads"]))
    settings, lora = json.loads(given["settings"]), json.loads(given["lora"])
    rows = [json.loads(line) for line in Path(given["train"]).read_text(encoding="utf-8").splitlines()]
    set_seed(settings["seed"])
    model = AutoModelForCausalLM.from_pretrained(
        given["model"],
        dtype=given.get("dtype", "float32"),
        attn_implementation=given.get("attention", "sdpa"),
    )
    if "vocabulary" in given:
        model.resize_token_embeddings(int(given["vocabulary"]), mean_resizing=False)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**settings, assistant_only_loss=True),
        processing_class=AutoTokenizer.from_pretrained(given["model"]),
        train_dataset=Dataset.from_list([{"messages": row["messages"]} for row in rows]),
        peft_config=LoraConfig(**lora),
        callbacks=[Steps(Path(given["steps"]))],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
