"""The anchor tells the newest head it was given, whatever happened to one of its slots."""

from pathlib import Path

import pytest

from genomed.daemon.journal.anchor import SLOT_OFFSETS, Anchor, anchored_head, replace_anchor
from genomed.entities.envelope import Head


def head(position: int) -> Head:
    return Head(position=position, hash=f"{position:064x}")


def test_the_newest_recorded_head_is_told(tmp_path: Path) -> None:
    path = tmp_path / "head.anchor"
    assert anchored_head(path) is None
    replace_anchor(path, head(3))
    for position in range(3, 9):
        anchor = Anchor.open(path)
        anchor.record(head(position))
        anchor.record(head(position + 1))
        anchor.close()
        assert anchored_head(path) == head(position + 1)


@pytest.mark.parametrize("torn", range(0, 200, 7))
def test_a_torn_write_leaves_the_head_before_it(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "head.anchor"
    replace_anchor(path, head(1))
    anchor = Anchor.open(path)
    anchor.record(head(2))
    before = path.read_bytes()
    anchor.record(head(3))
    anchor.close()
    after = path.read_bytes()
    (changed,) = [offset for offset in SLOT_OFFSETS if before[offset : offset + 256] != after[offset : offset + 256]]
    path.write_bytes(before[:changed] + after[changed : changed + torn] + before[changed + torn :])
    assert anchored_head(path) in (head(2), head(3))


def test_replacing_makes_an_earlier_head_the_only_one(tmp_path: Path) -> None:
    path = tmp_path / "head.anchor"
    replace_anchor(path, head(900))
    replace_anchor(path, head(5))
    assert anchored_head(path) == head(5)
