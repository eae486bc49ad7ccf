"""Completion scripts for bash, zsh and fish, written from the command table: static, so completing starts no Python."""

from collections.abc import Iterator
from dataclasses import dataclass

from genomed.cli.failures import PROGRAM, Usage
from genomed.cli.parsing import GLOBAL_SWITCHES, GLOBAL_WITH_VALUE, command_options
from genomed.cli.verbs import (
    COMPLETION,
    ENGINE_INSTALL,
    EVENTS_TAIL,
    SYSTEMD_INSTALL,
    OwnVerb,
    Verb,
    every_verb,
    summary_of,
    words_of,
)

SHELLS = ("bash", "zsh", "fish")
EVERYWHERE = ("--help", *GLOBAL_SWITCHES[:2], *GLOBAL_WITH_VALUE)
OWN_FLAGS: dict[OwnVerb, tuple[str, ...]] = {
    EVENTS_TAIL: ("--after", "--pattern"),
    ENGINE_INSTALL: ("--python", "--data", "--torch", "--print", "--yes"),
    SYSTEMD_INSTALL: ("--user", "--dry-run", "--yes", "--prefix", "--program", "--trainer-python"),
}


@dataclass(frozen=True)
class _Candidates:
    """What can follow: the flags of a command, and the values of those flags that are choices."""

    words: tuple[str, ...]
    summary: str
    flags: tuple[str, ...]
    choices: dict[str, tuple[str, ...]]


def script(shell: str) -> str:
    """Raises Usage for a shell we do not know."""
    if shell not in SHELLS:
        asked = f"{shell!r} is no shell we complete" if shell else "which shell?"
        raise Usage(asked, remedy=f"`{PROGRAM} completion {'|'.join(SHELLS)}`")
    known = [_candidates(one) for one in every_verb()]
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](known)


def _candidates(one: Verb) -> _Candidates:
    flags: tuple[str, ...] = EVERYWHERE
    choices: dict[str, tuple[str, ...]] = {}
    if isinstance(one, OwnVerb):
        flags += OWN_FLAGS.get(one, ())
    else:
        found = command_options(one)
        flags += ("--file", *(option.flag for option in found))
        choices = {option.flag: option.choices for option in found if option.choices}
    return _Candidates(words=words_of(one), summary=summary_of(one), flags=flags, choices=choices)


def _next_words(known: list[_Candidates]) -> dict[str, list[str]]:
    """Typed words -> words that can follow them; `` for none typed."""
    follow: dict[str, list[str]] = {}
    for one in known:
        for n, word in enumerate(one.words):
            after = follow.setdefault(" ".join(one.words[:n]), [])
            if word not in after:
                after.append(word)
    follow[" ".join(COMPLETION.words)] = list(SHELLS)
    return follow


def _cases(known: list[_Candidates]) -> Iterator[str]:
    """A shell `case` over `typed words|previous word`, the most particular first. Sets `found`."""
    for one in known:
        for flag, values in one.choices.items():
            yield f'    "{" ".join(one.words)}|{flag}") found="{" ".join(values)}" ;;'
    follow = _next_words(known)
    complete = {" ".join(one.words): one for one in known}
    for typed in sorted(follow.keys() | complete.keys()):
        flags = complete[typed].flags if typed in complete else EVERYWHERE
        yield f'    "{typed}|"*) found="{" ".join([*follow.get(typed, []), *flags])}" ;;'


def _typed(known: list[_Candidates]) -> str:
    """A shell `case` pattern of all word sequences that lead somewhere."""
    paths = {" ".join(one.words[: n + 1]) for one in known for n in range(len(one.words))}
    return "|".join(f'"{path}"' for path in sorted(paths))


def _bash(known: list[_Candidates]) -> str:
    return "\n".join(
        [
            f"# bash completion of {PROGRAM}; load it with: source <({PROGRAM} completion bash)",
            f"_{PROGRAM}() {{",
            '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" typed="" longer word found=""',
            '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            '    longer="${typed:+$typed }$word"',
            f'    case "$longer" in {_typed(known)}) typed="$longer" ;; esac',
            "  done",
            '  case "$typed|$prev" in',
            *_cases(known),
            "  esac",
            '  case "$prev" in --file|-f|--socket) COMPREPLY=($(compgen -f -- "$cur")); return ;; esac',
            '  COMPREPLY=($(compgen -W "$found" -- "$cur"))',
            "}",
            f"complete -o default -F _{PROGRAM} {PROGRAM}",
        ]
    )


def _zsh(known: list[_Candidates]) -> str:
    return "\n".join(
        [
            f"#compdef {PROGRAM}",
            f"# zsh completion of {PROGRAM}; load it with: source <({PROGRAM} completion zsh)",
            f"_{PROGRAM}() {{",
            '  local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}" typed="" longer word found=""',
            '  for word in "${(@)words[2,CURRENT-1]}"; do',
            '    longer="${typed:+$typed }$word"',
            f'    case "$longer" in {_typed(known)}) typed="$longer" ;; esac',
            "  done",
            '  case "$typed|$prev" in',
            *_cases(known),
            "  esac",
            '  case "$prev" in --file|-f|--socket) _files; return ;; esac',
            "  compadd -- ${=found}",
            "}",
            f"compdef _{PROGRAM} {PROGRAM}",
        ]
    )


def _fish(known: list[_Candidates]) -> str:
    lines = [
        f"# fish completion of {PROGRAM}; load it with: {PROGRAM} completion fish | source",
        f"complete -c {PROGRAM} -f",
    ]
    for typed, words in sorted(_next_words(known).items()):
        seen = "".join(f"__fish_seen_subcommand_from {word}; and " for word in typed.split())
        not_yet = f"not __fish_seen_subcommand_from {' '.join(words)}"
        lines.append(f"complete -c {PROGRAM} -n '{seen}{not_yet}' -a '{' '.join(words)}'")
    for one in known:
        here = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in one.words)
        for flag in dict.fromkeys(one.flags):
            if not flag.startswith("--"):
                continue
            values = f" -x -a '{' '.join(one.choices[flag])}'" if flag in one.choices else ""
            lines.append(f"complete -c {PROGRAM} -n '{here}' -l '{flag[2:]}'{values}")
    return "\n".join(lines)
