"""Load a layer with plain PEFT and answer prompts with and without it. Knows nothing of genomed.

Prints one JSON object per prompt: {"prompt", "base", "layer"}.
"""

import argparse
import json

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging


def main(base_model: str, layer: str, prompts: list[str]) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), layer).eval()
    for prompt in prompts:
        with model.disable_adapter():
            before = answer(model, tokenizer, prompt)
        print(json.dumps({"prompt": prompt, "base": before, "layer": answer(model, tokenizer, prompt)}), flush=True)


@torch.inference_mode()
def answer(model: PeftModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    """Greedy: the most likely token each time, so that the same weights give the same answer."""
    turn = [{"role": "user", "content": prompt}]
    text = str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))
    given = tokenizer(text, add_special_tokens=False, return_tensors="pt").data
    made = model.generate(**given, max_new_tokens=64, do_sample=False)  # type: ignore[no-untyped-call]  # peft's own
    return str(tokenizer.decode(made[0, given["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("prompts", nargs="+")
    given = parser.parse_args()
    main(given.base_model, given.layer, given.prompts)
