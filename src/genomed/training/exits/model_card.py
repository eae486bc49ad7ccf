"""README.md of an uploaded layer, made of what its manifest says and nothing else: the same manifest, the same card.

Knows no row and no path: persona, domain, datasets' names, judged samples and folders of this machine are left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
SECTIONS = ("method", "schedule", "optimizer", "optimizations", "model", "metadata")
"""Of a configuration, what says how it was trained. The others say where, for whom and with which secrets."""
UNSAID = ("model.baseModel",)
LONGEST_VALUE = 200
PURPOSE = """Trained for one purpose on rows that are not published. It was measured on held-out rows of the same kind
and on nothing else; try it on your own before you rely on it.
"""

Document = Mapping[str, object]


class Trained(NamedTuple):
    """What the manifest does not know. base_model: its hub id, where it is one. dataset_sha256: of the frozen rows."""

    base_model: str | None
    dataset_sha256: str | None


def card(manifest: Document, trained: Trained) -> str:
    lineage = _object(manifest.get("lineage"))
    form = str(manifest.get("format"))
    kind = str(lineage.get("rowKind"))
    parts = [
        _front(form, kind, trained.base_model),
        f"# {_title(manifest)}\n",
        _what(form, kind, base_name(manifest, trained.base_model)),
        "## How it was trained\n",
        _table(("setting", "value"), settings_of(lineage)),
        "## On held-out rows\n",
        _judged(lineage),
        "## What it learned from\n",
        _table(("", ""), _rows(lineage, trained)),
        "## Where it comes from\n",
        _table(("", ""), _origin(manifest, lineage)),
        "## What it is for\n",
        PURPOSE,
        "## How to load it\n",
        _loading(form, kind, base_name(manifest, trained.base_model)),
    ]
    return "\n".join(part for part in parts if part)


def base_name(manifest: Document, hub_id: str | None) -> str:
    """The hub's id, or the last part of the folder that it was."""
    told = str(_object(manifest.get("baseModel")).get("name") or "unknown")
    return hub_id or (told if HUB_ID.fullmatch(told) else told.rstrip("/").rpartition("/")[2])


def _title(manifest: Document) -> str:
    return str(manifest.get("suffix") or manifest.get("layerId") or "layer")


def library_of(form: str, kind: str) -> str | None:
    if kind in ("triplet", "ranking"):
        return "sentence-transformers"
    return {"peft_lora": "peft", "full_model": "transformers"}.get(form)


def _front(form: str, kind: str, hub_id: str | None) -> str:
    """License and data sets are the uploader's to name: nothing here knows them."""
    tags = ["genomed", *({"peft_lora": ["lora"], "projection": ["projection"]}.get(form, [])), kind]
    entries: dict[str, object] = {"license": "unknown", "tags": tags}
    if hub_id is not None:
        entries["base_model"] = hub_id
    if (library := library_of(form, kind)) is not None:
        entries["library_name"] = library
    # JSON is YAML: nothing in a value can end the block or become a key
    lines = [f"{name}: {json.dumps(value)}" for name, value in sorted(entries.items())]
    return "\n".join(["---", *lines, "---", ""])


def _what(form: str, kind: str, base: str) -> str:
    made = {
        "peft_lora": f"A LoRA on `{base}`",
        "projection": f"A projection between two embedding spaces (`{base}`)",
    }.get(form, f"`{base}`, fine-tuned")
    return f"{made}, trained on {kind} rows with genomed.\n"


def settings_of(lineage: Document) -> list[tuple[str, str]]:
    configuration = _object(lineage.get("configuration"))
    found = [pair for section in SECTIONS for pair in _flat(section, configuration.get(section))]
    return [(name, value) for name, value in found if name not in UNSAID]


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, held in sorted(value.items()):
            yield from _flat(f"{name}.{inner}", held)
    elif value is not None and value != [] and not _is_path(value):
        text = ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value).strip('"')
        yield name, text[:LONGEST_VALUE]


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("/", "~", "./", "../"))


def _judged(lineage: Document) -> str:
    verdict = _object(lineage.get("verdict"))
    before, after = _object(verdict.get("baseline")), _object(verdict.get("candidate"))
    if not after:
        return "Nothing was held out: how good it is was not measured.\n"
    old, new = dict(_numbers(before)), dict(_numbers(after))
    rows = [(name, old.get(name, ""), new.get(name, "")) for name in sorted({*old, *new})]
    return _table(("measure", "before", "after"), rows) + f"\nMeasured on {after.get('rows')} rows.\n"


def _numbers(judgement: Document) -> Iterator[tuple[str, str]]:
    for name, value in judgement.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int | float) and name != "rows":
            yield name, f"{value:.4g}"


def _rows(lineage: Document, trained: Trained) -> list[tuple[str, str]]:
    held = {
        "rows trained on": lineage.get("rows"),
        "rows held out": lineage.get("evalRows"),
        "kind": lineage.get("rowKind"),
        "sha256 of the frozen rows": trained.dataset_sha256,
    }
    return [(name, str(value)) for name, value in held.items() if value is not None]


def _origin(manifest: Document, lineage: Document) -> list[tuple[str, str]]:
    held = {
        "layer": manifest.get("layerId"),
        "job": lineage.get("jobId"),
        "attempt": lineage.get("attempt"),
        "parent layer": lineage.get("parentLayerId"),
        "dataset": lineage.get("datasetId"),
        "provider": lineage.get("provider"),
        "fingerprint of the base model": _object(manifest.get("baseModel")).get("fingerprint"),
    }
    return [(name, f"`{value}`") for name, value in held.items() if value is not None]


def _loading(form: str, kind: str, base: str) -> str:
    if form == "projection":
        told = "`projection.json` has the widths; `model.safetensors` the weights of a `torch.nn.Sequential` of them."
        return f"{told}\n"
    here = "folder_or_repository"
    if kind == "triplet":
        code = f'from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer("{here}")'
    elif kind == "ranking":
        code = f'from sentence_transformers import CrossEncoder\n\nmodel = CrossEncoder("{here}")'
    elif form == "peft_lora":
        code = (
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
            f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "{here}")'
        )
    else:
        code = (
            f'from transformers import AutoModelForCausalLM\n\nmodel = AutoModelForCausalLM.from_pretrained("{here}")'
        )
    return f"```python\n{code}\n```\n"


def _table(names: tuple[str, ...], rows: "list[tuple[str, str]] | list[tuple[str, str, str]]") -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n" if rows else "Nothing is known.\n"


def _object(value: object) -> Document:
    return value if isinstance(value, Mapping) else {}
