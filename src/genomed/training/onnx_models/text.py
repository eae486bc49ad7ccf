"""A tokenizer as an exported folder has it: tokenizer.json, tokenizer_config.json and the chat template.

Does what transformers' tokenizer does with them for plain text and conversations, and loads neither it nor torch: that
takes seconds. An export compares the two before it is published. Templates run sandboxed, as they do there.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from ..engine import Message
from ..failures import WorkerFailure

TEMPLATE = "chat_template.jinja"
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class Encoding(Protocol):
    ids: list[int]
    type_ids: list[int]
    attention_mask: list[int]


class _Tokenizer(Protocol):
    def encode(self, sequence: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Encoding: ...
    def decode(self, ids: list[int], *, skip_special_tokens: bool = True) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def enable_truncation(self, max_length: int) -> None: ...
    def no_truncation(self) -> None: ...
    def no_padding(self) -> None: ...


class _Template(Protocol):
    def render(self, **given: object) -> str: ...


class Text:
    """Has the names that `engine.Tokenizer` has, as far as asking a model needs them."""

    def __init__(self, folder: Path) -> None:
        """Raises WorkerFailure."""
        self._pieces = _pieces(folder)
        config = _object(folder / "tokenizer_config.json")
        self._special = {name: token for name in SPECIAL if (token := _token(config.get(name))) is not None}
        self.eos_token, self.pad_token = self._special.get("eos_token"), self._special.get("pad_token")
        self.eos_token_id, self.pad_token_id = self._id(self.eos_token), self._id(self.pad_token)
        self.chat_template = _template_text(folder, config)
        self._template: _Template | None = None

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._pieces.token_to_id(token)

    def encode(self, text: str) -> list[int]:
        """With the special tokens that the tokenizer puts around any text."""
        return list(self._pieces.encode(text).ids)

    def pieces(self, text: str, pair: str | None = None) -> Encoding:
        """Of a text, or of a pair of texts; cut where `cut_to` says."""
        return self._pieces.encode(text, pair)

    def cut_to(self, longest: int | None) -> None:
        if longest is not None:
            self._pieces.enable_truncation(longest)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False, **_: object) -> str:
        return self._pieces.decode(list(token_ids), skip_special_tokens=skip_special_tokens)

    def convert_tokens_to_ids(self, tokens: str) -> int | None:
        return self._pieces.token_to_id(tokens)

    def save_pretrained(self, save_directory: str) -> NoReturn:
        raise WorkerFailure("unsupported", f"an exported tokenizer is not saved again, nor to {save_directory}")

    def render(self, conversation: Sequence[Message], **options: object) -> str:
        """Raises WorkerFailure for a conversation that the template refuses."""
        if self.chat_template is None:
            raise WorkerFailure("unsupported", "the exported tokenizer has no chat template")
        self._template = self._template or compiled(self.chat_template)
        try:
            return self._template.render(messages=conversation, **self._special, **options)
        except _template_errors() as wrong:
            raise WorkerFailure("invalid_request", f"the chat template refuses the conversation: {wrong}") from None

    def apply_chat_template(
        self,
        conversation: Sequence[Message],
        *,
        tokenize: bool = True,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tools: object = None,
        documents: object = None,
        add_generation_prompt: bool = False,
        **options: object,
    ) -> object:
        """The text, its token ids, or {"input_ids": ids}. Which tokens are the assistant's is not known here."""
        if return_assistant_tokens_mask:
            raise WorkerFailure("unsupported", "an exported tokenizer does not mark the assistant's tokens")
        written = self.render(
            conversation, tools=tools, documents=documents, add_generation_prompt=add_generation_prompt, **options
        )
        if not tokenize:
            return written
        ids = list(self._pieces.encode(written, add_special_tokens=False).ids)
        return {"input_ids": ids} if return_dict else ids


def _pieces(folder: Path) -> _Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise WorkerFailure(
            "unsupported", f"{folder} has no tokenizer.json", remedy="use a model with a fast tokenizer"
        )
    _object(path)
    pieces = cast(_Tokenizer, import_module("tokenizers").Tokenizer.from_file(str(path)))
    pieces.no_truncation()
    pieces.no_padding()
    return pieces


def _object(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    if not isinstance(found, dict):
        raise WorkerFailure("invalid_request", f"{path} is not an object")
    return found


def _token(given: object) -> str | None:
    """A token stands there as text, or as an object that also says how it is cut out."""
    found = given.get("content") if isinstance(given, dict) else given
    return found if isinstance(found, str) else None


def _template_text(folder: Path, config: Mapping[str, object]) -> str | None:
    if (folder / TEMPLATE).exists():
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    held = config.get("chat_template")
    if isinstance(held, list):
        held = next((one.get("template") for one in held if one.get("name") == "default"), None)
    return held if isinstance(held, str) else None


def compiled(template: str) -> _Template:
    """As transformers compiles them: blocks trimmed, loop controls, `generation` marks left out of the text."""
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import Node
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 -- jinja's own name for it

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = _json
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = lambda shape: datetime.now().astimezone().strftime(shape)
    try:
        return made.from_string(template)
    except _template_errors() as wrong:
        raise WorkerFailure("invalid_request", f"the chat template is broken: {wrong}") from None


def _json(
    given: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Characters stay as they are; jinja's own would write them for HTML."""
    return json.dumps(given, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> NoReturn:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)


def _template_errors() -> tuple[type[Exception], ...]:
    """A template is a program: it may also trip over a conversation that lacks what it expects."""
    from jinja2.exceptions import TemplateError

    return (TemplateError, TypeError, ValueError, KeyError)
