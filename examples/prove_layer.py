"""Load a layer with plain PEFT and answer prompts with and without it. Knows nothing of genomed.

Prints one JSON object per prompt: {"prompt", "base", "layer"}.
"""

import argparse
import json

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(base_model: str, layer: str, prompts: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), layer).eval()
    for prompt in prompts:
        with model.disable_adapter():
            before = answer(model, tokenizer, prompt)
        print(json.dumps({"prompt": prompt, "base": before, "layer": answer(model, tokenizer, prompt)}), flush=True)


@torch.inference_mode()
def answer(model: PeftModel, tokenizer: object, prompt: str) -> str:
    """Greedy: the most likely token each time, so that the same weights give the same answer."""
    turn = [{"role": "user", "content": prompt}]
    given = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.generate(**given, max_new_tokens=64, do_sample=False)
    return tokenizer.decode(made[0, given["input_ids"].shape[1] :], skip_special_tokens=True).strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("prompts", nargs="+")
    given = parser.parse_args()
    main(given.base_model, given.layer, given.prompts)
