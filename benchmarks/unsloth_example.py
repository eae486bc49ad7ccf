"""Fine-tuning as Unsloth's notebooks show it: FastLanguageModel, its LoRA, conversations as text, TRL's SFTTrainer.

`python unsloth_example.py GIVEN.json`, with what `plain_trl.py` is given; run by an interpreter that has Unsloth. It
learns from all tokens of a conversation, the question's too, as the plain example does. Never run by us yet.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Protocol


class State(Protocol):
    global_step: int


def main(given: dict[str, str]) -> None:
    fast = import_module("unsloth").FastLanguageModel  # before the others: it patches them
    torch, trl, datasets = (import_module(name) for name in ("torch", "trl", "datasets"))
    settings, lora = json.loads(given["settings"]), json.loads(given["lora"])
    model, tokenizer = fast.from_pretrained(
        model_name=given["model"], max_seq_length=settings["max_length"], dtype=torch.bfloat16, load_in_4bit=False,
        use_exact_model_name=True,
    )  # fmt: skip
    model = fast.get_peft_model(
        model, r=lora["r"], lora_alpha=lora["lora_alpha"], lora_dropout=lora["lora_dropout"], bias="none",
        use_gradient_checkpointing=False, random_state=settings["seed"],
    )  # fmt: skip
    rows = [json.loads(line)["messages"] for line in Path(given["train"]).read_text(encoding="utf-8").splitlines()]
    texts = [{"text": tokenizer.apply_chat_template(row, tokenize=False)} for row in rows]
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(**settings, dataset_text_field="text"),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(texts),
        callbacks=[_listener(Path(given["steps"]))],
    )
    trainer.train()


def _listener(path: Path) -> object:
    torch, callback = import_module("torch"), import_module("transformers").TrainerCallback
    lines: list[dict[str, float]] = []

    def logged(
        _self: object, _args: object, state: State, _control: object, logs: dict[str, float], **_: object
    ) -> None:
        if "loss" in logs:
            held = torch.cuda.max_memory_allocated()
            seen = {"step": state.global_step, "tokensSeen": logs["num_tokens"], "deviceBytes": held}
            lines.append({"at": time.time(), "loss": logs["loss"], **seen})

    def ended(*_: object, **__: object) -> None:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    return type("Steps", (callback,), {"on_log": logged, "on_train_end": ended})()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
