"""The sources of a configuration as plain data: a TOML file, GENOMED_* variables, options; and which said what.

Knows the shape of Settings, so that a variable leads to its field. Judges no value: `settings` does, all at once.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import msgspec
from msgspec import inspect

from genomed.daemon.configuration.toml_lines import lines_of
from genomed.entities.errors import Problem

PREFIX = "GENOMED_"
LEVEL = "__"

SHORT = {
    "GENOMED_BASE_MODEL": ("learning", "base_model"),
    "GENOMED_LOCAL_PYTHON": ("providers", "local", "python"),
}
"""Names from before every value had one."""

NOT_SETTINGS = frozenset({"GENOMED_CONFIG", "GENOMED_TOKEN", "GENOMED_TOKEN_FILE"})
"""Which file to read, and what a client shows at the door."""

OF_TESTS = ("GENOMED_FAILPOINT", "GENOMED_FAULT")

Plain = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Source:
    """values: nested, by the names of the file. origins: dotted path -> where it stands, for people."""

    values: Plain = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def origin(self, path: str) -> str | None:
        """Of the value at `path`, of the list it is in, or of the nearest table around it that somebody wrote."""
        at = path.partition("[")[0]
        while at:
            if at in self.origins:
                return self.origins[at]
            at = at.rpartition(".")[0]
        return None


def over(under: Source, upper: Source) -> Source:
    """Both, the upper one's values in place of the under one's; tables are laid into each other."""
    values = _laid_over(under.values, upper.values)
    return Source(values=values, origins=under.origins | upper.origins, problems=under.problems + upper.problems)


def from_file(path: Path) -> Source:
    """Empty, with the reason among its problems, where the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        values: Plain = tomllib.loads(text)
    except OSError as error:
        return _unread(f"{path} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return _unread(f"{path} is not TOML: {error}")
    lines = lines_of(text)
    origins = {at: f"{path}:{lines[at]}" if at in lines else str(path) for at in _paths(values)}
    return Source(values=values, origins=origins)


def from_options(given: Mapping[str, str | None]) -> Source:
    """Field of Settings -> what the command line says; None: nothing."""
    values: Plain = {name: value for name, value in given.items() if value}
    return Source(values=values, origins={name: f"--{name.replace('_', '-')}" for name in values})


def from_environment(environment: Mapping[str, str], wanted: type[msgspec.Struct], *, beside: Plain) -> Source:
    """Every GENOMED_* variable that says something. beside: the file's values, whose names of tables are meant.

    An empty variable says nothing. One that leads to no field is a problem that names the nearest one that does.
    """
    values: Plain = {}
    origins: dict[str, str] = {}
    said: dict[str, str] = {}
    wrong: list[Problem] = []
    for variable in sorted(environment, key=lambda name: (name.count(LEVEL), name)):
        text = environment[variable]
        if not variable.startswith(PREFIX) or not text or _is_of_others(variable):
            continue
        place = _place(variable, wanted, beside)
        if place is None:
            wrong.append(_unknown(variable, wanted))
            continue
        path, kind = place
        dotted = ".".join(path)
        if not _is_unicode(text):
            wrong.append(Problem(field=dotted, message=f"is not text in UTF-8 ({variable})"))
            continue
        if dotted in said:
            wrong.append(Problem(field=dotted, message=f"is said twice: by {said[dotted]} and by {variable}"))
        said[dotted] = variable
        one = _nested(path, text if variable in SHORT else _value(text, kind))
        values = _laid_over(values, one)
        origins |= dict.fromkeys(_paths(one), variable)
    return Source(values=values, origins=origins, problems=tuple(wrong))


def variables(wanted: type[msgspec.Struct]) -> tuple[str, ...]:
    """The name of every variable whose whole path is fixed by the shape of the settings."""
    names = [f"{PREFIX}{LEVEL.join(path)}" for path in _fields(inspect.type_info(wanted))]
    return tuple(sorted({*names, *SHORT, *NOT_SETTINGS}))


def _unread(message: str) -> Source:
    return Source(problems=(Problem(field="config", message=message),))


def _unknown(variable: str, wanted: type[msgspec.Struct]) -> Problem:
    near = get_close_matches(variable, variables(wanted), n=1)
    remedy = f"perhaps {near[0]} is meant" if near else "docs/operations.md says how variables are named"
    return Problem(field=variable, message="is not known: no setting is called so", remedy=remedy)


def _is_unicode(text: str) -> bool:
    """Bytes of an environment that are no UTF-8 come as lone surrogates (PEP 383)."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _is_of_others(variable: str) -> bool:
    return variable in NOT_SETTINGS or variable.startswith(OF_TESTS)


def _place(variable: str, wanted: type[msgspec.Struct], beside: Plain) -> tuple[list[str], inspect.Type] | None:
    """The path in the file's own names, and the type of what stands there."""
    words = SHORT.get(variable) or tuple(variable.removeprefix(PREFIX).split(LEVEL))
    kind: inspect.Type = inspect.type_info(wanted)
    path: list[str] = []
    present: object = beside
    for word in words:
        step = _step(kind, word, present if isinstance(present, dict) else {})
        if step is None:
            return None
        key, kind = step
        path.append(key)
        present = present.get(key) if isinstance(present, dict) else None
    return path, kind


def _step(kind: inspect.Type, word: str, present: Plain) -> tuple[str, inspect.Type] | None:
    if not _bare(word):
        return None
    for option in _options(kind):
        match option:
            case inspect.StructType(fields=fields):
                for one in fields:
                    if word.upper() in (one.name.upper(), one.encode_name.upper()):
                        return one.encode_name, one.type
            case inspect.DictType(value_type=inner):
                return _free_name(word, present), inner
            case inspect.AnyType():
                return _free_name(word, present), option
            case _:
                continue
    return None


def _options(kind: inspect.Type) -> Iterator[inspect.Type]:
    match kind:
        case inspect.Metadata(type=inner):
            yield from _options(inner)
        case inspect.UnionType(types=types):
            for one in types:
                yield from _options(one)
        case _:
            yield kind


def _free_name(word: str, present: Plain) -> str:
    """Of a table whose names are the operator's: as the file spells it, else in small letters."""
    same = [name for name in present if _same(word, name)]
    return same[0] if len(same) == 1 else word.lower() if word.isupper() else word


def _same(word: str, name: str) -> bool:
    return _bare(word) == _bare(name)


def _bare(name: str) -> str:
    """`minExamples`, `MIN_EXAMPLES` and `min-examples` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fields(kind: inspect.Type) -> Iterator[tuple[str, ...]]:
    for option in _options(kind):
        if isinstance(option, inspect.StructType):
            for one in option.fields:
                word = one.name.upper()
                yield (word,)
                yield from ((word, *rest) for rest in _fields(one.type))


def _value(text: str, kind: inspect.Type) -> object:
    """Text where a text is wanted; else JSON; what is no JSON stays text, for the check to name."""
    options = list(_options(kind))
    if any(isinstance(one, inspect.StrType | inspect.EnumType) or _words(one) for one in options):
        return text
    if text.lower() in ("true", "false") and any(isinstance(one, inspect.BoolType) for one in options):
        return text.lower() == "true"
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _words(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.LiteralType) and all(isinstance(one, str) for one in kind.values)


def _nested(path: list[str], value: object) -> Plain:
    made: object = value
    for key in reversed(path):
        made = {key: made}
    assert isinstance(made, dict)
    return made


def _laid_over(under: Plain, upper: Plain) -> Plain:
    """A table never hides what stands in its place and is none: the check is to name that."""
    laid = dict(under)
    for key, value in upper.items():
        below = laid.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            laid[key] = _laid_over(below, value)
        elif not (key in laid and isinstance(value, dict)):
            laid[key] = value
    return laid


def _paths(values: Plain, prefix: str = "") -> Iterator[str]:
    """Of every value and every table."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, dict):
            yield from _paths(value, f"{path}.")
