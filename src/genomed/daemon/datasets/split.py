"""Which rows on the workbench are held out: by group, near duplicates together, and as earlier datasets had it.

A group that an earlier dataset held out stays held out, one that it trained on stays in training. Where near duplicates
tie two such groups together, the training row goes. Groups are known by their place in the seeded order.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from genomed.curation.cleaning.row_steps import Tally
from genomed.curation.splits import FEWEST_GROUPS, chosen, held_out_count, place
from genomed.daemon.datasets.duplicates import OVERLAP, named, standing
from genomed.daemon.datasets.scratch import BATCH_ROWS, DIGEST_BYTES, Scratch
from genomed.entities.dataset_port import Freezing, Lineage

HELD, TRAINED = 1, 0


def remember(scratch: Scratch, lineage: Iterable[Lineage], seed: int) -> None:
    """The sides of an earlier dataset's groups, and the rows that it trained on."""
    for some in _batches(lineage):
        scratch.run_many(
            "INSERT INTO earlier VALUES (?, ?, ?) ON CONFLICT(place) DO UPDATE SET"
            " held = max(held, excluded.held), trained = max(trained, excluded.trained)",
            ((place(one.group, seed), one.held_out, not one.held_out) for one in some),
        )
        taught = ((bytes.fromhex(one.row_id)[:DIGEST_BYTES],) for one in some if not one.held_out)
        scratch.run_many("INSERT OR IGNORE INTO taught VALUES (?)", taught)


def split(scratch: Scratch, how: Freezing) -> Tally:
    """Marks the rows that are held out. What it counts is the overlap that had to go."""
    tally = Tally(step="train_eval_overlap", examined=standing(scratch))
    if how.eval_share <= 0 and not how.held_out_with:
        return tally
    if _few_groups(scratch):
        tally.note = f"fewer than {FEWEST_GROUPS} groups: every row is its own"
        _each_row_alone(scratch, how.seed)
    _inherit(scratch)
    _known_sides(scratch)
    _Units(scratch).unite()
    gone = "UPDATE rows SET gone = ? WHERE gone = 0 AND ordinal IN (SELECT ordinal FROM overlap)"
    tally.removed = scratch.run(gone, (OVERLAP,))
    _choose(scratch, how)
    named(scratch, tally, OVERLAP)
    return tally


def _batches(lineage: Iterable[Lineage]) -> Iterator[list[Lineage]]:
    rest = iter(lineage)
    while some := list(islice(rest, BATCH_ROWS)):
        yield some


def _few_groups(scratch: Scratch) -> bool:
    first = "SELECT count(*) FROM (SELECT DISTINCT place FROM standing LIMIT ?)"
    return scratch.number(first, (FEWEST_GROUPS,)) < FEWEST_GROUPS


def _each_row_alone(scratch: Scratch, seed: int) -> None:
    scratch.function("alone", 2, lambda group, digest: place(f"{group}\0{bytes(digest).hex()}", seed))
    scratch.run("UPDATE rows SET place = alone(place, digest) WHERE ordinal >= 0 AND gone = 0")


def _inherit(scratch: Scratch) -> None:
    """A row that stands for others that went takes over that one of them was held out."""
    scratch.run(
        "UPDATE rows SET fixed = 1 WHERE ordinal IN (SELECT links.one FROM links JOIN rows AS away ON"
        " away.ordinal = links.other WHERE away.gone != 0 AND (away.fixed = 1 OR away.place IN"
        " (SELECT place FROM earlier WHERE held AND NOT trained)))"
    )


def _known_sides(scratch: Scratch) -> None:
    """Of groups: as an earlier dataset had them, or by one of their rows that it held out or trained on.

    overlap: rows that stood on the other side than their group does.
    """
    scratch.run("CREATE TEMP TABLE sides(place INTEGER PRIMARY KEY, side INTEGER NOT NULL)")
    scratch.run("CREATE TEMP TABLE overlap(ordinal INTEGER PRIMARY KEY)")
    scratch.run("CREATE TEMP TABLE known(ordinal INTEGER PRIMARY KEY, place INTEGER NOT NULL, side INTEGER NOT NULL)")
    scratch.run("INSERT INTO sides SELECT place, NOT trained FROM earlier")
    scratch.run("INSERT INTO known SELECT ordinal, place, ? FROM standing WHERE fixed = 1", (HELD,))
    scratch.run(
        "INSERT INTO known SELECT ordinal, place, ? FROM standing WHERE fixed = 0"
        " AND digest IN (SELECT digest FROM taught)",
        (TRAINED,),
    )
    for side in (HELD, TRAINED):
        scratch.run(
            "INSERT INTO overlap SELECT ordinal FROM known JOIN sides ON sides.place = known.place"
            " WHERE known.side = ? AND sides.side != known.side",
            (side,),
        )
        scratch.run("INSERT OR IGNORE INTO sides SELECT place, side FROM known WHERE side = ?", (side,))


class _Units:
    """Groups that near duplicates tie together, as a forest in the database. A unit is known by its least place."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        scratch.run("CREATE TEMP TABLE units(place INTEGER PRIMARY KEY, parent INTEGER NOT NULL)")

    def unite(self) -> None:
        """First what may be held out, then the rest; two groups whose sides are known and differ stay two."""
        for trained_too in (False, True):
            for one, other, row, other_row in self._tied():
                first, second = self._root(one), self._root(other)
                if first == second:
                    continue
                sides = {self._side(first), self._side(second)}
                if sides == {HELD, TRAINED}:
                    late = row if self._side(first) == TRAINED else other_row
                    self._scratch.run("INSERT OR IGNORE INTO overlap VALUES (?)", (late,))
                elif trained_too or TRAINED not in sides:
                    self._join(min(first, second), max(first, second))

    def _tied(self) -> Iterable[tuple[int, ...]]:
        return self._scratch.each(
            "SELECT a.place, b.place, a.ordinal, b.ordinal FROM links JOIN rows AS a ON a.ordinal = links.one"
            " JOIN rows AS b ON b.ordinal = links.other WHERE a.gone = 0 AND b.gone = 0 AND a.place != b.place"
        )

    def _root(self, where: int) -> int:
        """And shortens the way there for the next who asks."""
        path = [where]
        while (parent := self._parent(path[-1])) is not None:
            path.append(parent)
        root = path.pop()
        for one in path[:-1]:
            self._scratch.run("UPDATE units SET parent = ? WHERE place = ?", (root, one))
        return root

    def _parent(self, where: int) -> int | None:
        for (parent,) in self._scratch.each("SELECT parent FROM units WHERE place = ?", (where,)):
            return parent
        return None

    def _side(self, root: int) -> int | None:
        for (side,) in self._scratch.each("SELECT side FROM sides WHERE place = ?", (root,)):
            return side
        return None

    def _join(self, root: int, under: int) -> None:
        side = self._side(root) if self._side(root) is not None else self._side(under)
        self._scratch.run("INSERT INTO units VALUES (?, ?)", (under, root))
        if side is not None:
            self._scratch.run("INSERT OR REPLACE INTO sides VALUES (?, ?)", (root, side))


def _choose(scratch: Scratch, how: Freezing) -> None:
    """Units of unknown side are held out in their order, until there are enough rows."""
    shorter = (
        "UPDATE units SET parent = (SELECT up.parent FROM units AS up WHERE up.place = units.parent)"
        " WHERE parent IN (SELECT place FROM units)"
    )
    while scratch.run(shorter):
        pass  # every turn halves the way to the root
    scratch.run(
        "CREATE TEMP VIEW united AS SELECT ordinal,"
        " coalesce((SELECT parent FROM units WHERE units.place = standing.place), standing.place) AS unit FROM standing"
    )
    scratch.run(
        "CREATE TEMP TABLE sizes AS SELECT unit, n, (SELECT side FROM sides WHERE place = unit) AS side"
        " FROM (SELECT unit, count(*) AS n FROM united GROUP BY unit)"
    )
    scratch.run("CREATE TEMP TABLE out(unit INTEGER PRIMARY KEY)")
    scratch.run("INSERT INTO out SELECT unit FROM sizes WHERE side = ?", (HELD,))
    rows = scratch.number("SELECT sum(n) FROM sizes")
    already = scratch.number("SELECT sum(n) FROM sizes WHERE side = ?", (HELD,))
    free = ((unit, n) for unit, n in scratch.each("SELECT unit, n FROM sizes WHERE side IS NULL ORDER BY unit"))
    taken = chosen(free, wanted=held_out_count(rows, how.eval_share) - already, most=rows // 2 - already)
    scratch.run_many("INSERT INTO out VALUES (?)", ((unit,) for unit in taken))
    scratch.run(
        "UPDATE rows SET held = 1 WHERE ordinal IN (SELECT ordinal FROM united WHERE unit IN (SELECT unit FROM out))"
    )
