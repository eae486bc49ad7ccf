"""Exits tried in this process, on models of some thousand weights that are built here: a base, and layers upon it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER

from genomed.training import engine
from genomed.training.errand import PROGRAMS, Errand, Kind, Order, Paths
from genomed.training.protocol import Progress, Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

Json = dict[str, object]
FILES = ("progress.jsonl", "control.json", "worker.json", "heartbeat")


class Done(NamedTuple):
    result: Path
    facts: Mapping[str, object]
    files: Mapping[str, str]

    @property
    def verification(self) -> Mapping[str, object]:
        return cast("Mapping[str, object]", self.facts["verification"])


def carried_out(kind: Kind, folder: Path, options: Json) -> Done:
    """Raises what the program raises. A failure leaves nothing at `folder/result`."""
    folder.mkdir(parents=True)
    places = {name.partition(".")[0]: str(folder / name) for name in FILES}
    order = Order(
        errand=kind, errand_id="e", offline=True, threads=1, paths=Paths(**places, result=str(folder / "result"))
    )
    progress = Progress(Path(order.paths.progress))
    engine.prepare(offline=True)
    try:
        program = import_module(f"genomed.training.{PROGRAMS[kind]}")
        program.carry_out(Errand(order, options, progress, Wishes(Path(order.paths.control))))
    finally:
        progress.close()
    return _done(folder)


def in_a_process(kind: Kind, folder: Path, options: Json) -> Done:
    """As `carried_out`, by a worker started as the daemon starts one."""
    folder.mkdir(parents=True)
    paths = {name.partition(".")[0]: str(folder / name) for name in FILES} | {"result": str(folder / "result")}
    order = {"errand": kind, "errandId": "e", "offline": True, "threads": 1, "paths": paths, "options": options}
    (folder / "errand.json").write_text(json.dumps(order), encoding="utf-8")
    command = [sys.executable, str(WORKER), "errand", str(folder / "errand.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return _done(folder)


def _done(folder: Path) -> Done:
    told = json.loads((folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return Done(folder / "result", told["facts"], told["files"])


def source(kind: str, base: Path | str, *layers: Path) -> Json:
    return {"kind": kind, "baseModel": str(base), "layers": [str(layer) for layer in layers]}


class _Model(Protocol):
    def named_parameters(self) -> "Iterator[tuple[str, nn.Parameter]]": ...
    def save_pretrained(self, save_directory: str) -> object: ...


SHAPE: Json = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 256, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip


def causal_model(out: Path, tokenizer: Path, family: str, **changes: object) -> Path:
    """family: as transformers calls it, e.g. `Llama`. Its tokenizer is the mini model's."""
    import torch

    library = import_module("transformers")
    torch.manual_seed(3)
    spoken = engine.load_tokenizer(str(tokenizer))
    config = getattr(library, f"{family}Config")(**{**SHAPE, "vocab_size": len(cast("list[str]", spoken)), **changes})
    kind = library.AutoModelForCausalLM.from_config(config)
    kind.save_pretrained(str(out))
    spoken.save_pretrained(str(out))
    return out


def layer(out: Path, base: Path, task: str = "CAUSAL_LM", **options: object) -> Path:
    """A LoRA whose product is far from zero."""
    import torch

    library, peft = import_module("transformers"), import_module("peft")
    kinds = {
        "CAUSAL_LM": "AutoModelForCausalLM", "FEATURE_EXTRACTION": "AutoModel",
        "SEQ_CLS": "AutoModelForSequenceClassification",
    }  # fmt: skip
    model = getattr(library, kinds[task]).from_pretrained(str(base))
    config = peft.LoraConfig(task_type=task, r=4, lora_alpha=8, **{"target_modules": "all-linear", **options})
    torch.manual_seed(len(out.name))
    layered = cast(_Model, peft.get_peft_model(model, config))
    for name, weight in layered.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    layered.save_pretrained(str(out))
    (out / "README.md").unlink(missing_ok=True)
    return out


def bert(out: Path, *, scores: bool) -> Path:
    """A sentence encoder with mean pooling and normalisation, or a cross-encoder."""
    import torch

    library, kit = import_module("transformers"), import_module("tokenizers")
    torch.manual_seed(5)
    pieces = kit.Tokenizer(kit.models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = kit.normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = kit.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = kit.trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    pieces.train_from_iterator(["reset the account server database timeout invoice rain why yes of a"], trainer)
    pieces.post_processor = kit.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = library.PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
    config = library.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, num_labels=1, initializer_range=0.3,
    )  # fmt: skip
    kind = library.BertForSequenceClassification if scores else library.BertModel
    plain = out.with_name(f"{out.name}-plain")
    kind(config).save_pretrained(str(plain))
    tokenizer.save_pretrained(str(plain))
    _save(out, plain, scores=scores)
    return out


def _save(out: Path, plain: Path, *, scores: bool) -> None:
    library = import_module("sentence_transformers")
    if scores:
        library.CrossEncoder(str(plain), device="cpu").save_pretrained(str(out), create_model_card=False)
        return
    parts = import_module("sentence_transformers.sentence_transformer.modules")
    modules = [parts.Transformer(str(plain)), parts.Pooling(32, pooling_mode="mean"), parts.Normalize()]
    made = library.SentenceTransformer(modules=modules, device="cpu")
    made.save_pretrained(str(out), create_model_card=False)
