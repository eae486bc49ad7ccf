"""Two layers over one base model, and what plain PEFT answers with each: written by nobody of ours, to compare with.

Run as `plain_peft.py MODEL FOLDER`: layers come to FOLDER/one and FOLDER/two, answers to FOLDER/answers.json.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

NEW_TOKENS = 12
QUESTION = [{"role": "user", "content": "hello"}]


def main(model: str, folder: Path) -> None:
    import torch

    library: Any = import_module("transformers")
    peft: Any = import_module("peft")
    torch.set_num_threads(1)
    tokenizer = library.AutoTokenizer.from_pretrained(model)
    asked = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answers = {}
    for seed, name in enumerate((None, "one", "two")):
        base = library.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        if name is not None:
            torch.manual_seed(seed)
            config = peft.LoraConfig(
                r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
            )
            peft.get_peft_model(base, config).save_pretrained(str(folder / name))
            base = library.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
            base = peft.PeftModel.from_pretrained(base, str(folder / name))
        made = base.generate(**asked, max_new_tokens=NEW_TOKENS, do_sample=False)
        answers[name or "base"] = tokenizer.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
