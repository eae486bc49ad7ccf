"""Providers of other distributions: found once they are installed, never in place of ours, harmless when broken."""

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import DATASET, configuration

from genomed import adapters
from genomed.adapters import _plug_ins
from genomed.adapters._broken_provider import BrokenProvider
from genomed.conformance import accounting
from genomed.entities.errors import NotFound, Transient
from genomed.entities.ports import ProviderContext

SOUND = """
from genomed.adapters.simulated import Simulated

class Acme(Simulated):
    name = "acme"

def provider(context):
    return Acme(context)
"""


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    _plug_ins.found.cache_clear()
    yield
    _plug_ins.found.cache_clear()
    importlib.invalidate_caches()


class Site:
    """A folder that installers install into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, distribution: str, points: str, **modules: str) -> None:
        info = self.root / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(points)
        for name, code in modules.items():
            (self.root / f"{name}.py").write_text(code)
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield Site(tmp_path / "site")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def context(tmp_path: Path) -> ProviderContext:
    return ProviderContext(
        jobs_dir=str(tmp_path), layers_dir=str(tmp_path), settings={}, now_us=lambda: 0, secrets=PlainSecrets({})
    )


async def test_a_plug_in_is_a_provider_like_ours(site: Site, tmp_path: Path) -> None:
    site.install("acme-genomed", "[genomed.adapters]\nacme = acme_genomed:provider\n", acme_genomed=SOUND)
    assert set(adapters.provider_names()) == {"acme", *adapters.own_names()}
    assert "acme_genomed" not in sys.modules, "it loads when first asked for"
    provider = adapters.load("acme", context(tmp_path))
    assert provider.name == "acme"
    assert (await provider.capabilities()).available
    assert adapters.complaints() == ()


def test_a_name_that_nobody_has_is_answered_with_those_there_are(site: Site, tmp_path: Path) -> None:
    site.install("acme-genomed", "[genomed.adapters]\nacme = acme_genomed:provider\n", acme_genomed=SOUND)
    with pytest.raises(NotFound, match=r"acme, .*simulated"):
        adapters.load("nobody", context(tmp_path))


def test_our_own_provider_wins_and_the_clash_is_an_error(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("evil", "[genomed.adapters]\nsimulated = evil:provider\n", evil="raise SystemExit('loaded')")
    assert adapters.provider_names() == adapters.own_names()
    assert adapters.load("simulated", context(tmp_path)).name == "simulated"
    (complaint,) = adapters.complaints()
    assert complaint == "the provider 'simulated' of evil 1.2 is left out: genomed has a provider of this name"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, complaint)]


def test_of_two_plug_ins_of_one_name_the_second_is_left_out_and_told(site: Site) -> None:
    for distribution in ("one", "two"):
        site.install(distribution, f"[genomed.adapters]\nacme = {distribution}:provider\n")
    assert "acme" in adapters.provider_names()
    (complaint,) = adapters.complaints()
    assert complaint.endswith("has one of this name")


@pytest.mark.parametrize("name", ["_http", "../acme", "Acme", "a b"])
def test_a_name_that_cannot_be_one_is_left_out_and_told(site: Site, name: str) -> None:
    site.install("odd", f"[genomed.adapters]\n{name} = odd:provider\n")
    assert adapters.provider_names() == adapters.own_names()
    assert len(adapters.complaints()) == 1


def test_a_distribution_that_cannot_be_read_does_not_hide_the_others(site: Site) -> None:
    site.install("broken", "[genomed.adapters]\nno equals sign here\n")
    site.install("acme-genomed", "[genomed.adapters]\nacme = acme_genomed:provider\n", acme_genomed=SOUND)
    assert "acme" in adapters.provider_names()
    assert len(adapters.complaints()) == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "AttributeError"),
        ("import no_such_sdk", "No module named 'no_such_sdk'"),
        ("raise KeyError('surprise')", "surprise"),
        ("raise SystemExit('bye')", "bye"),
        ("def provider(context): return 1 / 0", "division by zero"),
        ("def provider(context): return object()", "AttributeError"),
        (
            "class Old:\n    name = 'acme'\n    async def submit(self, submission): ...\nprovider = lambda c: Old()",
            "estimate",
        ),
        (SOUND.replace('"acme"', '"other"'), "calls itself 'other'"),
    ],
)
async def test_a_broken_plug_in_is_a_provider_that_is_not_available_and_says_why(
    site: Site, tmp_path: Path, code: str, told: str
) -> None:
    site.install("acme-genomed", "[genomed.adapters]\nacme = acme_genomed:provider\n", acme_genomed=code)
    provider = adapters.load("acme", context(tmp_path))
    capabilities = await provider.capabilities()
    assert not capabilities.available
    assert "acme-genomed 1.2" in (capabilities.reason or "")
    assert told in (capabilities.reason or "")
    assert (await provider.check(configuration("any"), DATASET, asked=())).errors


async def test_a_provider_with_wrong_settings_is_not_available_and_takes_no_other_with_it(tmp_path: Path) -> None:
    context = ProviderContext(
        jobs_dir=str(tmp_path),
        layers_dir=str(tmp_path),
        settings={"colour": "red", "timeout_s": -1},
        now_us=lambda: 0,
        secrets=PlainSecrets({}),
    )
    for name in ("openai", "fireworks", "together", "mistral"):
        told = await adapters.load(name, context).capabilities()
        assert not told.available
        assert f"providers.{name}.colour" in (told.reason or "")
        assert f"[providers.{name}]" in (told.reason or "")


async def test_a_broken_plug_in_gives_no_verdict_on_jobs_that_run_there() -> None:
    broken = BrokenProvider("acme", "it broke", remedy="mend it")
    with pytest.raises(Transient):
        await broken.poll("theirs", job_id="job-1", attempt=1, cursor="")
    with pytest.raises(Transient):
        await broken.find("gn1", job_id="job-1", intended_us=0)
    wish = configuration("any", metadata={"colour": "red"})
    made = broken.translate(wish, DATASET, asked=("schedule.epochs",))
    assert accounting.field_problems(made, wish, ("schedule.epochs",)) == []


def test_the_port_has_a_part_for_every_part_that_a_plug_in_must_have() -> None:
    assert {"name", "uploads", "serving", "capabilities", "estimate", "proceed", "close"} <= set(_plug_ins.PORT)
