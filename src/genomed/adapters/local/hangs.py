"""Which workers show no sign of life, for how long, and when to give one up: it is ended and replaced, not failed.

The time is what the daemon itself has watched, in looks of which each counts for little: a machine that slept, a daemon
that was stopped or a clock that jumped ages nobody. A later daemon begins to count anew. Blocking.
"""

from pathlib import Path

from msgspec import Struct

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.memory_guard import Verdict, kept, verdict_in
from genomed.adapters.local.settings import LocalSettings

LONGEST_LOOK_S = 10.0
"""What one look can add at most; polls come more often, unless `poll_s` says otherwise."""


class _Watched(Struct, frozen=True):
    at_us: int
    for_us: int


class HangWatch:
    """One per daemon."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._watched: dict[Path, _Watched] = {}

    def look(self, folder: AttemptFolder, *, word: str, now_us: int) -> None:
        """At a worker that lives. word: what it last said it was doing."""
        limit_s = self._settings.hang_after_s
        silent = stalled(folder, self._settings, word=word, now_us=now_us)
        if not limit_s or silent is None or verdict_in(folder) is not None:
            self._watched.pop(folder.root, None)
            return
        before = self._watched.get(folder.root, _Watched(now_us, 0))
        longest_us = int(max(LONGEST_LOOK_S, 2 * self._settings.poll_s) * 1e6)
        now = _Watched(now_us, before.for_us + min(max(0, now_us - before.at_us), longest_us))
        self._watched[folder.root] = now
        if now.for_us >= limit_s * 1e6:
            message = f"{silent}; it was ended after {now.for_us / 1e6:.0f} s of that (hang_after_s)"
            kept(folder, Verdict(message=message, remedy=LOOK, at_us=now_us, lost=True))


LOOK = "look at the end of its log; a machine that swaps or a file server that is away makes workers hang"


def stalled(folder: AttemptFolder, settings: LocalSettings, *, word: str, now_us: int) -> str | None:
    """What there is to say of a worker that gives no sign of life, or that lives and gets nowhere; None of others."""
    silence_s = _since(now_us, folder.heartbeat, folder.started)
    if silence_s > settings.stall_after_s:
        return f"the worker has shown no sign of life for {silence_s:.0f} s (phase {word})"
    idle_s = _since(now_us, folder.progress, folder.started)
    if settings.idle_after_s and idle_s > settings.idle_after_s:
        return f"the worker lives and has got nowhere for {idle_s:.0f} s (phase {word})"
    return None


def _since(now_us: int, *paths: Path) -> float:
    """Seconds since the first of these files that exists was written; none: no time at all."""
    for path in paths:
        if (age := age_s(path, now_us)) is not None:
            return age
    return 0.0


def age_s(path: Path, now_us: int) -> float | None:
    """Of what lies there, a link itself included: a worker may have put it there, and one that leads to itself."""
    try:
        return now_us / 1e6 - path.lstat().st_mtime
    except FileNotFoundError:
        return None
