"""What leaves the house: in the provider's form, without credentials, named by content, one row in memory at a time."""

import stat
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from genomed.daemon.courier.staging import MOST_PROBLEMS, Part, Staging
from genomed.entities.errors import InvalidRequest
from genomed.entities.rows import ChatRow, Message, Row, line_of, row_id
from genomed.entities.types import RowKind

KEY = "sk-proj-" + "a1B2" * 8


def chat(answer: str) -> ChatRow:
    return ChatRow(messages=(Message(role="user", content="q"), Message(role="assistant", content=answer)))


def dataset(path: Path, rows: list[ChatRow]) -> str:
    path.write_bytes(b"".join(line_of(row, row_id(row)) for row in rows))
    return str(path)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def part(source: str, personal_data: str = "redact") -> Part:
    return Part(source=source, row_kind=RowKind.CHAT, line=msgspec.json.encode, personal_data=personal_data)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "uploads")


async def test_the_file_is_what_the_provider_reads_and_is_named_by_its_content(
    tmp_path: Path, staging: Staging
) -> None:
    file, redacted = await staging.prepare(part(dataset(tmp_path / "d", [chat("one"), chat("two")])))
    sent = content(file.path)
    assert sent.splitlines() == [msgspec.json.encode(chat("one")), msgspec.json.encode(chat("two"))]
    assert (file.sha256, file.size_bytes, file.rows) == (sha256(sent).hexdigest(), len(sent), 2)
    assert (file.name, redacted) == (f"gn-{file.sha256[:16]}", {})
    assert mode(file.path) == 0o600


async def test_preparing_again_gives_the_same_file(tmp_path: Path, staging: Staging) -> None:
    source = part(dataset(tmp_path / "d", [chat("one")]))
    first, again = [await staging.prepare(source) for _ in range(2)]
    assert first == again
    await staging.forget(first[0].sha256, "job-1")
    assert not await staging.has(first[0].sha256)
    assert await staging.prepare(source) == first


async def test_personal_data_is_masked_counted_and_the_dataset_itself_is_left_as_it_was(
    tmp_path: Path, staging: Staging
) -> None:
    source = dataset(tmp_path / "d", [chat("ada@example.org"), chat("bob@example.org and +49 30 901820")])
    before = content(source)
    file, redacted = await staging.prepare(part(source))
    assert redacted == {"email": 2, "phone_number": 1}
    assert b"example.org" not in content(file.path)
    assert content(source) == before


async def test_the_policy_decides_about_personal_data(tmp_path: Path, staging: Staging) -> None:
    source = dataset(tmp_path / "d", [chat("fine"), chat("ada@example.org")])
    allowed, redacted = await staging.prepare(part(source, "allow"))
    assert (b"ada@example.org" in content(allowed.path), redacted) == (True, {})
    with pytest.raises(InvalidRequest, match="row 2 holds personal data: email"):
        await staging.prepare(part(source, "block"))


@pytest.mark.parametrize("policy", ["redact", "block", "allow"])
async def test_a_credential_never_leaves_whatever_the_policy(tmp_path: Path, staging: Staging, policy: str) -> None:
    source = dataset(tmp_path / "d", [chat("fine"), chat(f"the key is {KEY}")])
    with pytest.raises(InvalidRequest) as refused:
        await staging.prepare(part(source, policy))
    [problem] = refused.value.details
    assert problem.field == "configuration.datasets.trainingFileId[2]"
    assert KEY not in f"{refused.value.body()}"
    assert list((tmp_path / "uploads").iterdir()) == [], "nothing half made is left"


async def test_the_first_hundred_bad_rows_are_named_and_the_rest_counted(tmp_path: Path, staging: Staging) -> None:
    source = dataset(tmp_path / "d", [chat(f"{n} {KEY}") for n in range(MOST_PROBLEMS + 7)])
    with pytest.raises(InvalidRequest) as refused:
        await staging.prepare(part(source))
    assert len(refused.value.details) == MOST_PROBLEMS + 1
    assert "7 more" in refused.value.details[-1].message


async def test_memory_does_not_grow_with_the_dataset(tmp_path: Path, staging: Staging) -> None:
    async def peak(rows: int) -> int:
        source = part(dataset(tmp_path / "d", [chat(f"{n} " + "x" * 2000) for n in range(rows)]))
        tracemalloc.start()
        await staging.prepare(source)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = await peak(200), await peak(4000)
    assert large < 2 * small + 200_000


async def test_two_jobs_of_one_content_take_turns(staging: Staging) -> None:
    inside: list[str] = []

    async def send(name: str) -> None:
        async with staging.alone("same"):
            inside.append(f"{name} in")
            await anyio.lowlevel.checkpoint()
            inside.append(f"{name} out")

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(send, name)
    assert inside == [f"{name} {way}" for name in "abc" for way in ("in", "out")]


async def test_preparing_does_not_hold_up_the_daemon(tmp_path: Path, staging: Staging, no_blocking: Any) -> None:
    source = await anyio.to_thread.run_sync(dataset, tmp_path / "d", [chat("one")])
    file, _ = await staging.prepare(part(source))
    assert await staging.has(file.sha256)
    await staging.forget(file.sha256, "job-1")
    await staging.clear()


def test_a_row_type_is_what_the_line_function_gets(tmp_path: Path) -> None:
    seen: list[Row] = []

    async def prepare() -> None:
        def line(row: Row) -> bytes:
            seen.append(row)
            return b"{}"

        source = dataset(tmp_path / "d", [chat("one")])
        await Staging(tmp_path / "u").prepare(
            Part(source=source, row_kind=RowKind.CHAT, line=line, personal_data="redact")
        )

    anyio.run(prepare)
    assert seen == [chat("one")]
