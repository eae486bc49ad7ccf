"""A daemon that is killed and comes back, and everything that may not have changed meanwhile.

An agent asks, and asks again with the same key until it is answered. After each return: what was acknowledged is
replayed word for word, the log and the read models verify, and nobody was told of an event that is gone.
"""

import random
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Timer
from time import monotonic, sleep

import msgspec
from tests.crash.kill_world import Around
from tests.daemon.daemon_process import Json
from tests.patience import PATIENCE_S

from genomed.daemon.failpoints import TRACE_VARIABLE, VARIABLE

AT_RANDOM = "at random"
LONGEST_LIFE_S = 2.0
OLD_ONES = 5
"""Acknowledged commands of earlier lives that are asked again after each return, beside all of the last one's."""


class Died(Exception):
    """The daemon was killed; nobody answers."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the daemon is to be killed: at the nth time that it reaches a point, or at random. scene: leads there."""

    point: str
    scene: str = ""
    nth: int = 1


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    name: str
    params: Json
    key: str
    result: Json


@dataclass
class Harness:
    """around: the daemon and its world. plan: where it is killed next, each time it starts; empty: no more."""

    around: Around
    plan: deque[Target]
    dice: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    armed: Target | None = None
    asked: int = 0
    trace: str | None = None
    _checked: int = 0
    _timer: Timer | None = None
    _events: list[tuple[int, str]] = field(default_factory=list)

    def begin(self) -> None:
        """The first start, and every one after a kill at the start."""
        self._live_again()

    def call(self, name: str, params: Json) -> Json:
        """Carried out once, whatever becomes of the daemon, and remembered as acknowledged."""
        self.asked += 1
        key = f"key-{self.asked}"
        while True:
            try:
                answer = self._answer(name, params, key)
            except Died:
                self._live_again()
                continue
            assert "result" in answer, (name, params, answer)
            self.acknowledged.append(Acknowledged(name=name, params=params, key=key, result=answer["result"]))
            return dict(answer["result"])

    def read(self, name: str, params: Json | None = None) -> Json:
        """A question: nothing is kept of it."""
        while True:
            try:
                answer = self._answer(name, params or {}, None)
            except Died:
                self._live_again()
                continue
            assert "result" in answer, (name, params, answer)
            return dict(answer["result"])

    def events(self) -> list[Json]:
        """Everything in the log."""
        while True:
            try:
                return self.around.daemon.events()
            except (OSError, HTTPException, msgspec.DecodeError) as error:
                self._death(error)
                self._live_again()

    def adopt(self, name: str, params: Json, key: str) -> None:
        """What a client of its own was told was done is acknowledged, too."""
        while True:
            try:
                answer = self._answer(name, params, key)
            except Died:
                self._live_again()
                continue
            assert answer.get("replayed") is True, f"a client was answered, and it is gone: {key}: {answer}"
            self.acknowledged.append(Acknowledged(name=name, params=params, key=key, result=answer["result"]))
            return

    def attempt(self, name: str, params: Callable[[], Json]) -> Json:
        """What keeps no receipt: asked anew, of new params, until it is answered."""
        while True:
            self.asked += 1
            try:
                answer = self._answer(name, params(), None)
            except Died:
                self._live_again()
                continue
            assert "result" in answer, (name, answer)
            return dict(answer["result"])

    def until(self, look: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + PATIENCE_S
        while not look():
            assert monotonic() < deadline, f"{what} did not come\n{self.log()}"
            sleep(0.01)

    def strike(self) -> None:
        """A kill from outside, now: where nothing led to the point that was aimed at."""
        self.armed = Target(point=AT_RANDOM)
        self._process().kill()
        self._live_again()

    @property
    def position(self) -> int:
        """Of the log, as it was last looked at."""
        return len(self._events)

    def log(self) -> str:
        return self.around.daemon.log.read_text()[-4000:]

    def _process(self) -> "subprocess.Popen[bytes]":
        process = self.around.daemon.process
        assert process is not None
        return process

    def _answer(self, name: str, params: Json, key: str | None) -> Json:
        try:
            return self.around.daemon.answer(name, params, key=key)
        except (OSError, HTTPException, msgspec.DecodeError) as error:
            raise self._death(error) from error

    def _death(self, error: Exception) -> Died:
        """Only a kill ends it: anything else is a finding."""
        try:
            code = self._process().wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no answer ({error!r}), and it lives\n{self.log()}") from error
        assert code == -signal.SIGKILL, f"it ended by itself with {code}\n{self.log()}"
        return Died()

    def _live_again(self) -> None:
        """Started and found sound, however often it is killed on the way."""
        while True:
            self._bury()
            try:
                self._start()
                self._check()
            except Died:
                continue
            return

    def _bury(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.around.daemon.process is not None:
            self._process().wait(timeout=PATIENCE_S)
            if self.armed is not None:
                self.killed[self.armed.point] += 1
                self.history.append(self.armed.point)
        self.armed = self.plan.popleft() if self.plan else None

    def _start(self) -> None:
        daemon, aim = self.around.daemon, {}
        if self.armed is not None and self.armed.point != AT_RANDOM:
            aim = {VARIABLE: f"{self.armed.point}:{self.armed.nth}"}
        if self.trace is not None:
            aim |= {TRACE_VARIABLE: self.trace}
        plain = dict(daemon.environment)
        daemon.environment = plain | aim
        process = daemon.spawn()
        daemon.environment = plain
        if self.armed is not None and self.armed.point == AT_RANDOM:
            self._timer = Timer(self.dice.uniform(0.0, LONGEST_LIFE_S), process.kill)
            self._timer.start()
        self._ready(process)

    def _ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = monotonic() + PATIENCE_S
        while True:
            try:
                self.around.daemon.health()
                return
            except (OSError, HTTPException, msgspec.DecodeError) as error:
                if process.poll() is not None:
                    raise self._death(error) from error
            assert monotonic() < deadline, self.log()
            sleep(0.01)

    def _check(self) -> None:
        """What was acknowledged is there; the log is sound; it tells what it told before."""
        recent = self.acknowledged[self._checked :]
        old = self.acknowledged[: self._checked]
        self.assert_replayed([*recent, *self.dice.sample(old, min(OLD_ONES, len(old)))])
        self._checked = len(self.acknowledged)
        self.assert_verified()
        self.assert_told_the_same()

    def assert_whole(self) -> None:
        """All of it, and a subscriber that was there all along saw every event once. Nobody kills any more."""
        self.assert_replayed(self.acknowledged)
        self.assert_verified()
        self.assert_told_the_same()
        self.until(lambda: len(self.around.subscriber.told) >= self.position, "the subscriber")
        assert self.around.subscriber.told == self._events

    def assert_replayed(self, commands: Iterable[Acknowledged]) -> None:
        for one in commands:
            answer = self._answer(one.name, one.params, one.key)
            assert answer.get("replayed") is True, f"acknowledged and gone: {one.name} {one.key}: {answer}"
            assert answer["result"] == one.result, f"acknowledged otherwise: {one.name}: {answer['result']}"

    def assert_verified(self) -> None:
        report = self._answer("log-verify", {}, None)
        assert report["result"]["ok"] is True, report

    def assert_told_the_same(self) -> None:
        """From the first event on, without a gap, and what a subscriber saw is what the log says."""
        try:
            more = self.around.daemon.events(after=len(self._events))
        except (OSError, HTTPException, msgspec.DecodeError) as error:
            raise self._death(error) from error
        self._events += [(int(one["position"]), str(one["eventId"])) for one in more]
        assert [position for position, _ in self._events] == list(range(1, len(self._events) + 1))
        told = list(self.around.subscriber.told)
        assert told[: len(self._events)] == self._events[: len(told)], "told of an event that is not in the log"
