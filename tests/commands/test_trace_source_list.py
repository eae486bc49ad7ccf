"""genome/trace-source-list: kinds with what they miss, sources with how far they were read, never a key."""

from pathlib import Path

import pytest
from tests.commands.importing import importing
from tests.daemon.daemon_rig import write_rows

from genomed.adapters import traces
from genomed.daemon.configuration.settings import load_settings
from genomed.entities.errors import InvalidRequest

pytestmark = pytest.mark.anyio
LINE = {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]}


async def test_kinds_are_listed_with_what_they_read(tmp_path: Path) -> None:
    async with importing(tmp_path) as rig:
        listed = await rig.call("trace-source-list")
        kinds = {one["kind"]: one["file"] for one in listed["kinds"]}
        files = {"otlp": True, "phoenix_export": True, "langfuse_export": True, "chat_log": True}
        assert kinds == {"phoenix": False} | files
        assert listed["sources"] == []


async def test_a_source_shows_how_far_it_was_read_for_each_persona(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "talk.jsonl", [LINE])
    given = {"traces": {"talks": {"kind": "chat_log", "path": str(path), "domain": "sums"}}}
    async with importing(tmp_path, given=given) as rig:
        await rig.call("trace-import", {"source": "talks", "personaId": "ada"})
        [source] = (await rig.call("trace-source-list"))["sources"]
        assert (source["name"], source["kind"], source["path"]) == ("talks", "chat_log", str(path))
        [read] = source["imports"]
        assert (read["personaId"], read["interactions"], read["more"]) == ("ada", 1, False)


async def test_a_key_is_named_and_never_shown(tmp_path: Path) -> None:
    given = {"traces": {"main": {"kind": "phoenix", "url": "http://127.0.0.1:6006", "api_key": "env:PHOENIX_API_KEY"}}}
    async with importing(tmp_path, given=given) as rig:
        [source] = (await rig.call("trace-source-list"))["sources"]
        assert (source["key"], source["project"]) == ("env:PHOENIX_API_KEY", "default")


async def test_without_its_package_a_kind_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PACKAGE", "a-distribution-that-nobody-has")
    given = {"traces": {"main": {"kind": "phoenix", "url": "http://127.0.0.1:6006", "persona_id": "a", "domain": "b"}}}
    async with importing(tmp_path, given=given) as rig:
        [source] = (await rig.call("trace-source-list"))["sources"]
        assert source["remedy"] == "pip install 'genomed[phoenix]'"
        error = await rig.refused("trace-import", {"source": "main"})
        assert (error.kind.value, error.remedy) == ("unsupported", source["remedy"])


def test_a_section_that_cannot_work_is_refused_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "genomed.toml"
    config.write_text(
        '[traces.a]\nkind = "jaeger"\n[traces.b]\nkind = "otlp"\nurl = "http://x"\n[traces.c]\nkind = "phoenix"\n',
        encoding="utf-8",
    )
    with pytest.raises(InvalidRequest) as refused:
        load_settings({}, config=str(config), data=str(tmp_path), socket=None)
    assert [one.field for one in refused.value.details] == [
        "traces.a.kind",
        "traces.b.path",
        "traces.b.url",
        "traces.c.url",
    ]
