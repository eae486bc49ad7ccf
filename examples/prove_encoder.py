"""Load an encoder with plain sentence-transformers and plain PEFT, and look questions up. Knows nothing of genomed.

Prints one JSON object: {"base": {...}, "layer": {...}}, each with hitRate and ndcg among the first ten of the index,
and with the first hits of some questions.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from transformers.utils import logging

K = 10
SHOWN = 4


def main(base_model: str, layer: str, rows_path: Path) -> None:
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers' own
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    rows = [json.loads(line) for line in rows_path.read_text(encoding="utf-8").splitlines()]
    model = SentenceTransformer(base_model, device="cpu")
    before = looked_up(model, rows)
    inner = model[0].model
    if not isinstance(inner, torch.nn.Module):
        raise SystemExit(f"{base_model} holds no transformer")
    model[0].model = PeftModel.from_pretrained(inner, layer)
    print(json.dumps({"base": before, "layer": looked_up(model, rows)}))


def looked_up(model: SentenceTransformer, rows: list[dict[str, object]]) -> dict[str, object]:
    """By cosine, in an index of every passage of the rows."""
    right: dict[str, set[str]] = {}
    passages: set[str] = set()
    for row in rows:
        right.setdefault(str(row["anchor"]), set()).add(str(row["positive"]))
        negatives = row["negatives"]
        passages |= {str(row["positive"]), *(negatives if isinstance(negatives, list) else [])}
    index, questions = sorted(passages), list(right)
    cosines = model.similarity(
        model.encode(questions, convert_to_tensor=True, show_progress_bar=False),
        model.encode(index, convert_to_tensor=True, show_progress_bar=False),
    )
    found = [[index[at] for at in places] for places in torch.topk(cosines, K, dim=1).indices.tolist()]
    hits = [any(one in right[question] for one in top) for question, top in zip(questions, found, strict=True)]
    gains = [ndcg(right[question], top) for question, top in zip(questions, found, strict=True)]
    return {
        "hitRate": sum(hits) / len(hits),
        "ndcg": sum(gains) / len(gains),
        "first": {question: top[0] for question, top in zip(questions[:SHOWN], found, strict=False)},
    }


def ndcg(right: set[str], top: list[str]) -> float:
    gained = sum(1 / math.log2(rank + 1) for rank, one in enumerate(top, 1) if one in right)
    return gained / sum(1 / math.log2(rank + 1) for rank in range(1, min(K, len(right)) + 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--rows", required=True, type=Path)
    given = parser.parse_args()
    main(given.base_model, given.layer, given.rows)
