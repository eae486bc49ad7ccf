"""Ask an exported layer with onnxruntime, numpy, tokenizers and jinja2. Knows nothing of genomed, nor of torch.

Prints one JSON object per prompt: {"prompt", "answer", "seconds"}, and as the last one {"loaded": []}, which would name
them if they were there after all.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
from jinja2.sandbox import ImmutableSandboxedEnvironment
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

MOST = 64


def main(folder: Path, prompts: list[str]) -> None:
    told = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for prompt in prompts:
        began = time.monotonic()
        ids = tokenizer.encode(written(folder, prompt), add_special_tokens=False).ids
        answer = tokenizer.decode(answered(session, told, ids), skip_special_tokens=True).strip()
        print(json.dumps({"prompt": prompt, "answer": answer, "seconds": time.monotonic() - began}), flush=True)
    print(json.dumps({"loaded": [name for name in ("genomed", "torch", "transformers") if name in sys.modules]}))


def written(folder: Path, prompt: str) -> str:
    """The conversation as the model was trained to read it. Marks around what is trained on are none to an asker."""
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    template = re.sub(r"({%-?\s*)generation(\s*-?%})", r"\1if true\2", template)
    template = re.sub(r"({%-?\s*)endgeneration(\s*-?%})", r"\1endif\2", template)
    special = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    page = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
    turn = [{"role": "user", "content": prompt}]
    return page.render(
        messages=turn,
        add_generation_prompt=True,
        bos_token=special.get("bos_token"),
        eos_token=special.get("eos_token"),
    )


def answered(session: InferenceSession, told: dict[str, object], ids: list[int]) -> list[int]:
    """Greedy: the likeliest token each time. The graph reads the prompt, then one token after the other."""
    names = told["outputs"]
    stops = told["stops"]
    assert isinstance(names, list)
    assert isinstance(stops, list)
    shapes = {one.name: one.shape for one in session.get_inputs() if one.name.startswith("past.")}
    past = {name: np.zeros((1, shape[1], 0, shape[3]), dtype=np.float32) for name, shape in shapes.items()}
    said: list[int] = []
    given, seen = ids, 0
    while len(said) < MOST and not (said and said[-1] in stops):
        seen += len(given)
        feed = {
            "input_ids": np.array([given], dtype=np.int64),
            "attention_mask": np.ones((1, seen), dtype=np.int64),
            "position_ids": np.arange(seen - len(given), seen, dtype=np.int64)[None],
        }
        logits, *present = (np.asarray(one) for one in session.run(names, {**feed, **past}))
        past = {name.replace("present.", "past."): one for name, one in zip(names[1:], present, strict=True)}
        said.append(int(logits[0, -1].argmax()))
        given = said[-1:]
    return said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", required=True, type=Path)
    parser.add_argument("prompts", nargs="+")
    asked = parser.parse_args()
    main(asked.export, asked.prompts)
