"""Going through rows that wait: what a key means where one is. Pure: knows neither the terminal nor the daemon."""

from dataclasses import dataclass, replace

from genomed.entities.review_decision import Decision

HELP = """\
a  approve: the row may be trained on
r  reject: it never is
g  again: asks what was wrong; the recipe makes another one, which comes back to the queue (at most twice)
e  edit: opens the row in $VISUAL or $EDITOR; the corrected row is approved
s  skip: it keeps waiting (also: space, right)
b  back to the row before (also: left)
u  undo the last decision of this sitting
j k  down and up in a long row (also: the arrows, page down, page up)
?  this page
q  quit; what was decided stands, and the rest waits"""

KEYS_LINE = "[a]pprove [r]eject a[g]ain [e]dit [s]kip [b]ack [u]ndo [?]help [q]uit"

_DECISIONS = {"a": Decision.APPROVE, "r": Decision.REJECT}
_SCROLLS = {"j": 1, "down": 1, "k": -1, "up": -1, "page down": 10, "page up": -10}
_NAMES = {" ": "s", "right": "s", "left": "b", "h": "?", "\x04": "q"}
"""Other keys for the same wish."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was decided in this sitting."""

    item_id: str
    decision: Decision
    corrected: bool = False


@dataclass(frozen=True, kw_only=True)
class Desk:
    """queue: item ids in the order in which they are looked at; at: the one looked at, behind the last at the end.

    done: the newest last, one per item. scroll: lines of a long row that were scrolled away.
    """

    queue: tuple[str, ...] = ()
    at: int = 0
    done: tuple[Done, ...] = ()
    scroll: int = 0
    helping: bool = False

    @property
    def current(self) -> str | None:
        return self.queue[self.at] if self.at < len(self.queue) else None

    def decision_of(self, item_id: str) -> Decision | None:
        return next((done.decision for done in self.done if done.item_id == item_id), None)

    def with_more(self, item_ids: tuple[str, ...]) -> "Desk":
        """New rows came: they wait behind those that are known."""
        return replace(self, queue=(*self.queue, *(one for one in item_ids if one not in self.queue)))

    def decided(self, item_id: str, decision: Decision, *, corrected: bool = False) -> "Desk":
        """The daemon has the decision: on to the next row."""
        others = tuple(done for done in self.done if done.item_id != item_id)
        latest = Done(item_id=item_id, decision=decision, corrected=corrected)
        return replace(self, done=(*others, latest), at=self.queue.index(item_id) + 1, scroll=0)

    def taken_back(self, item_id: str) -> "Desk":
        """The daemon has taken the decision back: the row is looked at again."""
        others = tuple(done for done in self.done if done.item_id != item_id)
        return replace(self, done=others, at=self.queue.index(item_id), scroll=0)


@dataclass(frozen=True, kw_only=True)
class Decide:
    """reverse: it was decided otherwise in this very sitting."""

    item_id: str
    decision: Decision
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class AskAgain:
    """Ask what was wrong, then have it made again."""

    item_id: str
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class Edit:
    item_id: str
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class TakeBack:
    item_id: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Nothing but what is seen changes. told: why nothing else happens."""

    desk: Desk
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class Quit:
    pass


Wish = Decide | AskAgain | Edit | TakeBack | Look | Quit


def meant(desk: Desk, key: str) -> Wish:
    """What `key` asks for. key: one character, or the name of a key that has none."""
    if desk.helping:
        return Look(desk=replace(desk, helping=False))
    key = _NAMES.get(key, key)
    match key:
        case "q":
            return Quit()
        case "?":
            return Look(desk=replace(desk, helping=True))
        case "s" | "b":
            return _moved(desk, 1 if key == "s" else -1)
        case "u":
            return TakeBack(item_id=desk.done[-1].item_id) if desk.done else Look(desk=desk, told="nothing to undo")
        case _ if key in _SCROLLS:
            return Look(desk=replace(desk, scroll=max(0, desk.scroll + _SCROLLS[key])))
        case "a" | "r" | "g" | "e":
            return _decision(desk, key)
        case "":
            return Look(desk=desk)
        case _:
            return Look(desk=desk, told=f"{key!r} means nothing here; ? explains")


def _moved(desk: Desk, by: int) -> Wish:
    if desk.at + by < 0:
        return Look(desk=desk, told="this is the first")
    return Look(desk=replace(desk, at=min(desk.at + by, len(desk.queue)), scroll=0))


def _decision(desk: Desk, key: str) -> Wish:
    item_id = desk.current
    if item_id is None:
        return Look(desk=desk, told="nothing is left to decide; b goes back, q quits")
    reverse = desk.decision_of(item_id) is not None
    if key == "g":
        return AskAgain(item_id=item_id, reverse=reverse)
    if key == "e":
        return Edit(item_id=item_id, reverse=reverse)
    return Decide(item_id=item_id, decision=_DECISIONS[key], reverse=reverse)


def summary(desk: Desk, pending: int) -> str:
    """What came of the sitting, in one line."""
    words = {Decision.APPROVE: "approved", Decision.REJECT: "rejected", Decision.REGENERATE: "to be made again"}
    told = [
        f"{count} {word}"
        for decision, word in words.items()
        if (count := sum(done.decision is decision for done in desk.done))
    ]
    corrected = sum(done.corrected for done in desk.done)
    told += [f"{corrected} of them corrected"] if corrected else []
    return f"{', '.join(told) or 'nothing decided'}; {pending} still waiting"
