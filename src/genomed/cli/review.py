"""`genome review`: a person goes through the rows that wait, one key each.

Knows the order of things: what is loaded, what is asked of the daemon, what is shown. Decides nothing by itself; every
decision is the daemon's before the next row is shown, so that leaving at any moment loses none.
"""

import os
from contextlib import suppress

import msgspec

from genomed.cli.face import REDRAW, Face, Left, face
from genomed.cli.failures import PROGRAM, ExitCode, Usage
from genomed.cli.parsing import Globals
from genomed.cli.render import say
from genomed.cli.review_desk import AskAgain, Decide, Desk, Edit, Look, Quit, TakeBack, Wish, meant, summary
from genomed.cli.review_page import page
from genomed.cli.transport import Wire
from genomed.commands.review_decide import Result as Decisions
from genomed.commands.review_list import Result as Batches
from genomed.commands.review_show import Result as Shown
from genomed.commands.review_view import ItemView
from genomed.entities.errors import ErrorKind, GenomeError
from genomed.entities.json_value import Json, JsonObject
from genomed.entities.review_decision import Decision

PAGE = 50
DRAFT_PREFIX, BATCH_PREFIX = "dr-", "rev-"
MOST_SHOWN = 5


def review(wire: Wire, typed: str | None, asked: Globals) -> ExitCode:
    """Go through what waits in a batch or a draft; without one, in the only batch where something waits."""
    if asked.as_json or asked.quiet:
        raise Usage("this is for people; programs take review-show and review-decide")
    sitting = Sitting(wire, whose(wire, typed))
    sitting.load()
    code = ExitCode.OK
    try:
        with face(os.environ) as seen:
            sitting.run(seen)
    except (KeyboardInterrupt, Left) as reason:
        code = ExitCode.INTERRUPTED if isinstance(reason, KeyboardInterrupt) else ExitCode.OK
    with suppress(OSError):  # the terminal may be gone
        say(summary(sitting.desk, sitting.pending))
    return code


def whose(wire: Wire, typed: str | None) -> JsonObject:
    """The params that choose the queue. Raises Usage naming the batches that wait, where it is not clear which."""
    if typed is not None and typed.startswith(DRAFT_PREFIX):
        return {"draftId": typed}
    waiting = msgspec.json.decode(wire.call("genome/review-list", {"waiting": True, "limit": 200}).result, type=Batches)
    if typed is None:
        fitting = [batch.batch_id for batch in waiting.batches]
    else:
        wanted = typed if typed.startswith(BATCH_PREFIX) else BATCH_PREFIX + typed
        fitting = [batch.batch_id for batch in waiting.batches if batch.batch_id.startswith(wanted)]
        if wanted in fitting or not fitting:
            return {"batchId": wanted}  # the daemon knows whether there is one
    if len(fitting) == 1:
        return {"batchId": fitting[0]}
    if not fitting:
        raise Usage("nothing waits for approval", remedy=f"`{PROGRAM} review list` shows what was decided")
    more = f" and {len(fitting) - MOST_SHOWN} more" if len(fitting) > MOST_SHOWN else ""
    raise Usage("which batch? several wait", remedy=f"name one: {', '.join(fitting[:MOST_SHOWN])}{more}")


class Sitting:
    """One person at one queue. pending: how many wait, as the daemon said last."""

    def __init__(self, wire: Wire, whose: JsonObject) -> None:
        self._wire, self._whose = wire, whose
        self._items: dict[str, ItemView] = {}
        self._told = ""
        self.desk = Desk()
        self.pending = 0

    def load(self) -> None:
        """More rows that wait, behind those that are known: also those that came since. Raises GenomeError."""
        cursor: str | None = None
        while True:
            shown = self._show({**self._whose, "states": ["pending"], "limit": PAGE, "cursor": cursor})
            fresh = [item for item in shown.items if item.item_id not in self._items]
            self._items |= {item.item_id: item for item in fresh}
            self.desk = self.desk.with_more(tuple(item.item_id for item in fresh))
            cursor = shown.next_cursor
            if fresh or cursor is None:
                break
        self._count()

    def run(self, seen: Face) -> None:
        """Until the person leaves. Raises Left where the input ends first."""
        while True:
            try:
                wish = meant(self.desk, self._pressed(seen))
                if isinstance(wish, Quit):
                    return
                self._fulfil(wish, seen)
            except GenomeError as error:
                self._refused(error)

    def _fulfil(self, wish: Wish, seen: Face) -> None:
        self._told = ""
        match wish:
            case Look(desk=desk, told=told):
                self.desk, self._told = desk, told
                if desk.current is None:
                    self.load()
            case Decide(item_id=item_id, decision=decision, reverse=reverse):
                self._decide(item_id, decision, {"reverse": reverse})
            case AskAgain(item_id=item_id, reverse=reverse):
                self._again(item_id, seen, reverse=reverse)
            case Edit(item_id=item_id, reverse=reverse):
                self._edit(item_id, seen, reverse=reverse)
            case TakeBack(item_id=item_id):
                self._ask(item_id, Decision.REOPEN, {"reverse": True})
                self.desk = self.desk.taken_back(item_id)
                self._told = "taken back"
            case Quit():
                return

    def _again(self, item_id: str, seen: Face, *, reverse: bool) -> None:
        note = seen.ask("what was wrong? (enter: say nothing, ctrl-c: leave it)")
        if note is None:
            self._told = "left as it was"
            return
        more: JsonObject = {"reverse": reverse}
        if note.strip():
            more["note"] = note.strip()
        self._decide(item_id, Decision.REGENERATE, more)

    def _edit(self, item_id: str, seen: Face, *, reverse: bool) -> None:
        """Over and over, until the row is fit or the person gives up."""
        row = self._items[item_id].row
        if row is None:
            self._told = "its words were erased"
            return
        before = msgspec.json.format(msgspec.json.encode(row), indent=2).decode() + "\n"
        text: str | None = before
        while True:
            text = seen.edit(text or before)
            if text is None or text == before:
                self._told = "nothing was changed; it still waits"
                return
            try:
                given = {"corrections": {item_id: _row_or_answer(text)}, "reverse": reverse}
                self._decide(item_id, Decision.APPROVE, given, corrected=True)
                return
            except GenomeError as error:
                if error.kind is not ErrorKind.INVALID_REQUEST:
                    raise
                self._refused(error)
            self._told += "\n[e] edit again, any other key leaves it"
            if self._pressed(seen) != "e":
                self._told = "left as it was"
                return

    def _decide(self, item_id: str, decision: Decision, more: JsonObject, *, corrected: bool = False) -> None:
        self._ask(item_id, decision, more)
        self.desk = self.desk.decided(item_id, decision, corrected=corrected)
        if self.desk.current is None:
            self.load()

    def _ask(self, item_id: str, decision: Decision, more: JsonObject) -> None:
        """Raises what the daemon refuses."""
        ids: JsonObject = {} if "corrections" in more else {"itemIds": [item_id]}
        params = {"decision": decision.value, **ids, **more}
        reply = self._wire.call("genome/review-decide", params, changes=True)
        self.pending = msgspec.json.decode(reply.result, type=Decisions).pending
        self._again_shown(item_id)
        if "draftId" in self._whose:
            self._count()

    def _refused(self, error: GenomeError) -> None:
        """Said on the page; what another person decided meanwhile is seen there too."""
        problems = error.details or ()
        told = [f"{one.field}: {one.message}" if one.field else one.message for one in problems] or [error.message]
        self._told = "\n".join([*told, *([error.remedy] if error.remedy else [])])
        current = self.desk.current
        if current is not None and error.kind in (ErrorKind.CONFLICT, ErrorKind.UNSUPPORTED):
            self._again_shown(current)

    def _again_shown(self, item_id: str) -> None:
        for item in self._show({"itemId": item_id}).items:
            if item.item_id in self._items:
                self._items[item.item_id] = item

    def _show(self, params: JsonObject) -> Shown:
        return msgspec.json.decode(self._wire.call("genome/review-show", params).result, type=Shown)

    def _count(self) -> None:
        """How many wait in this queue."""
        if "draftId" in self._whose:
            params: JsonObject = {"draftId": self._whose["draftId"], "limit": 1}
            reply = self._wire.call("genome/review-list", params)
            self.pending = msgspec.json.decode(reply.result, type=Batches).pending
        else:
            [batch] = self._show({**self._whose, "limit": 1}).batches
            self.pending = batch.counts.get("pending", 0)

    def _pressed(self, seen: Face) -> str:
        """The next key that a person pressed; until then the page is drawn as often as the window wants it."""
        while True:
            self._draw(seen)
            key, _ = seen.key()
            if key != REDRAW:
                return key

    def _draw(self, seen: Face) -> None:
        columns, rows = seen.size()
        current = self.desk.current
        seen.show(
            page(
                None if current is None else self._items[current],
                self.desk,
                total=max(len(self.desk.queue), self.pending + len(self.desk.done)),
                told=self._told,
                columns=columns,
                rows=rows,
                colour=seen.colour,
            )
        )


def _row_or_answer(text: str) -> Json:
    """A JSON object is a row; plain text is the answer. Raises Usage for JSON that is broken, or no object."""
    if not text.lstrip().startswith(("{", "[")):
        return text.strip()
    try:
        row = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Usage(f"this is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise Usage("a row is a JSON object")
    return row
