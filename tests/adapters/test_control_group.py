"""The files of a worker's control group: over a folder shaped like one, and a real one where there is one."""

import os
from pathlib import Path

import pytest

from genomed.adapters.local.control_group import Group, NoGroup, is_delegated, make, place


def tree(
    root: Path, *, path: str = "system.slice/genomed.service/daemon", controllers: str = "cpu memory pids"
) -> Path:
    """A mounted hierarchy with a daemon's leaf; gives the group above it."""
    (root / path).mkdir(parents=True)
    (root / "cgroup.controllers").write_text(controllers)
    unit = (root / path).parent
    (unit / "cgroup.controllers").write_text(controllers)
    return unit


def ours(root: Path, text: str) -> Path:
    file = root / "self"
    file.write_text(text)
    return file


def marked(group: Path) -> Path:
    try:
        os.setxattr(group, "user.delegate", b"1")
    except OSError as refused:
        pytest.skip(f"no marks on this filesystem: {refused}")
    return group


def test_a_worker_gets_a_group_beside_the_daemons_own(tmp_path: Path) -> None:
    unit = marked(tree(tmp_path))
    assert place(tmp_path, ours(tmp_path, "0::/system.slice/genomed.service/daemon\n")) == unit
    group = Path(make(unit, "worker-1", memory_bytes=1 << 30, tasks=64).path)
    assert group == unit / "worker-1"
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (group / "memory.max").read_text() == str(1 << 30)
    assert (group / "memory.oom.group").read_text() == "1"
    assert (group / "pids.max").read_text() == "64"


def test_without_a_limit_none_is_written(tmp_path: Path) -> None:
    group = Path(make(tree(tmp_path), "worker-1", memory_bytes=None, tasks=None).path)
    assert list(group.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0::/\n", "no group of its own"),
        ("4:memory:/x\n0::/\n", "no group of its own"),
        ("0::/system.slice/genomed.service/daemon\n", "delegates no group"),
    ],
)
def test_where_nothing_is_delegated_the_reason_is_told(tmp_path: Path, text: str, reason: str) -> None:
    tree(tmp_path)
    with pytest.raises(NoGroup, match=reason):
        place(tmp_path, ours(tmp_path, text))


def test_the_older_hierarchies_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(NoGroup, match="cgroup v2"):
        place(tmp_path, ours(tmp_path, "0::/x/y\n"))


def test_a_delegation_without_memory_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoGroup, match="memory is not delegated"):
        make(tree(tmp_path, controllers="cpu pids"), "worker-1", memory_bytes=1, tasks=1)


def test_the_kernels_count_is_read_and_a_group_that_is_gone_counts_none(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 2\noom 1\noom_kill 3\noom_group_kill 1\n")
    assert Group(str(tmp_path)).oom_kills() == 3
    assert Group(str(tmp_path / "gone")).oom_kills() == 0
    Group(str(tmp_path / "gone")).remove()


def test_a_real_delegated_group_takes_limits() -> None:
    try:
        parent = place()
        group = make(parent, f"genomed-test-{os.getpid()}", memory_bytes=1 << 26, tasks=16)
    except NoGroup as none:
        pytest.skip(str(none))
    assert is_delegated(parent)
    assert Path(group.path, "memory.max").read_text().strip() == str(1 << 26)
    group.remove()
    assert not Path(group.path).exists()
