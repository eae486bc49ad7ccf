"""Which engine a job gets: by its wish, the operator's, and the machine; and what an environment says of itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench, accepted, bench_in, json_in

from genomed.adapters.local.availability import Device, Probe
from genomed.adapters.local.engine_environments import EngineEnvironments, machine_of
from genomed.adapters.local.engines import AUTO, ENGINES, Availability, Machine, Refusal, Work, choose
from genomed.adapters.local.settings import LocalSettings
from genomed.entities.engine_recipes import RECIPES, numbers
from genomed.entities.engines import EngineChoice, EngineName, Obstacle
from genomed.entities.ports import Rejected
from genomed.entities.types import RowKind, TrainingMethod

CPU, APPLE = Machine(device="cpu"), Machine(device="mps")
ONE, FOUR = Machine(device="cuda", gpus=1), Machine(device="cuda", gpus=4)
CHAT = Work(rows=RowKind.CHAT, method=TrainingMethod.LORA, batch_size=8)
TRL, UNSLOTH, MLX = EngineName.TRL, EngineName.UNSLOTH, EngineName.MLX
ABSENT = Availability(obstacle=Obstacle.NOT_INSTALLED, reason="it is not installed", remedy="install it")


def offers(*there: EngineName, machine: Machine = ONE) -> dict[EngineName, Availability]:
    """Every engine of `there` able to do all that it ever can, or what a machine without CUDA leaves of that."""
    found = {}
    for name, engine in ENGINES.items():
        able = [each for each in engine.methods if each is not TrainingMethod.QLORA or machine.device == "cuda"]
        found[name] = Availability(methods=tuple(able)) if name in there else ABSENT
    return found


EVERY = tuple(EngineName)


@pytest.mark.parametrize(
    ("machine", "there", "engine", "processes", "told"),
    [
        (CPU, EVERY, TRL, 1, "a CPU and no GPU"),
        (APPLE, EVERY, MLX, 1, "Apple silicon"),
        (ONE, EVERY, UNSLOTH, 1, "one CUDA GPU"),
        (FOUR, EVERY, TRL, 4, "4 CUDA GPUs; accelerate runs 4 processes"),
        (APPLE, (TRL,), TRL, 1, "would suit mlx; it is not installed"),
        (ONE, (TRL,), TRL, 1, "would suit unsloth; it is not installed"),
        (ONE, (TRL, MLX), TRL, 1, "would suit unsloth"),
    ],
)
def test_the_machine_decides_where_nobody_does_and_what_it_would_have_liked_is_said(
    machine: Machine, there: tuple[EngineName, ...], engine: EngineName, processes: int, told: str
) -> None:
    chosen = choose(AUTO, AUTO, machine, offers(*there, machine=machine), CHAT)
    assert isinstance(chosen, EngineChoice), chosen
    assert (chosen.engine, chosen.processes) == (engine, processes)
    assert told in chosen.reason


@pytest.mark.parametrize("machine", [CPU, APPLE, ONE, FOUR])
@pytest.mark.parametrize("name", EVERY)
def test_a_named_engine_is_given_or_refused_and_never_exchanged(machine: Machine, name: EngineName) -> None:
    for wish, default in ((name.value, AUTO), (AUTO, name.value)):
        chosen = choose(wish, default, machine, offers(*EVERY, machine=machine), CHAT)
        assert isinstance(chosen, EngineChoice)
        assert chosen.engine is name
        refused = choose(wish, default, machine, offers(), CHAT)
        assert isinstance(refused, Refusal)
        assert refused.obstacle is Obstacle.NOT_INSTALLED
        assert refused.remedy == "install it"


@pytest.mark.parametrize("machine", [CPU, APPLE, ONE, FOUR])
@pytest.mark.parametrize("rows", [RowKind.TRIPLET, RowKind.RANKING, RowKind.VECTOR_PAIR])
def test_rows_that_are_no_text_are_trls_wherever_they_are_trained(machine: Machine, rows: RowKind) -> None:
    work = Work(rows=rows, method=TrainingMethod.LORA, batch_size=8)
    for default in (AUTO, "unsloth", "mlx"):
        chosen = choose(AUTO, default, machine, offers(*EVERY, machine=machine), work)
        assert isinstance(chosen, EngineChoice)
        assert (chosen.engine, chosen.processes) == (TRL, 1)
    refused = choose("unsloth", AUTO, machine, offers(*EVERY, machine=machine), work)
    assert isinstance(refused, Refusal)
    assert (refused.field, refused.message) == ("metadata.engine", f"unsloth does not train {rows.value} rows")


@pytest.mark.parametrize(
    ("machine", "rows", "method", "engine", "told"),
    [
        (ONE, RowKind.LABELLED, TrainingMethod.LORA, TRL, "unsloth does not train labelled rows"),
        (ONE, RowKind.CHAT, TrainingMethod.FULL, TRL, "unsloth does not train with full"),
        (ONE, RowKind.PREFERENCE, TrainingMethod.QLORA, UNSLOTH, "one CUDA GPU"),
        (APPLE, RowKind.PREFERENCE, TrainingMethod.LORA, TRL, "mlx does not train preference rows"),
        (APPLE, RowKind.CHAT, TrainingMethod.FULL, TRL, "mlx does not train with full"),
    ],
)
def test_rows_and_methods_that_the_suited_engine_does_not_serve_go_to_trl_with_the_reason(
    machine: Machine, rows: RowKind, method: TrainingMethod, engine: EngineName, told: str
) -> None:
    chosen = choose(AUTO, AUTO, machine, offers(*EVERY, machine=machine), Work(rows=rows, method=method))
    assert isinstance(chosen, EngineChoice), chosen
    assert chosen.engine is engine
    assert told in chosen.reason


def test_an_operators_default_that_does_not_serve_the_rows_leaves_them_to_trl_and_says_so() -> None:
    chosen = choose(AUTO, "mlx", APPLE, offers(*EVERY, machine=APPLE), Work(rows=RowKind.RAFT, method=CHAT.method))
    assert isinstance(chosen, EngineChoice)
    assert chosen.engine is TRL
    assert "mlx does not train raft rows, though it is the operator's default" in chosen.reason


def test_four_bits_without_cuda_are_refused_at_the_method() -> None:
    work = Work(rows=RowKind.CHAT, method=TrainingMethod.QLORA)
    for wish in (AUTO, "trl"):
        refused = choose(wish, AUTO, CPU, offers(*EVERY, machine=CPU), work)
        assert isinstance(refused, Refusal)
        assert refused.field == "method.type"


@pytest.mark.parametrize(
    ("machine", "gpus", "batch", "processes"),
    [
        (FOUR, None, 8, 4),
        (FOUR, None, 6, 3),
        (FOUR, None, 1, 1),
        (FOUR, 2, 8, 2),
        (FOUR, 5, 8, None),
        (CPU, 1, 8, None),
    ],
)
def test_as_many_gpus_are_used_as_share_a_batch_or_as_were_asked_for(
    machine: Machine, gpus: int | None, batch: int, processes: int | None
) -> None:
    work = Work(rows=RowKind.CHAT, method=TrainingMethod.LORA, gpus=gpus, batch_size=batch)
    chosen = choose("trl", AUTO, machine, offers(TRL, machine=machine), work)
    if processes is None:
        assert isinstance(chosen, Refusal)
        assert chosen.field == "hardware.numGPUs"
    else:
        assert isinstance(chosen, EngineChoice)
        assert chosen.processes == processes


def test_without_any_engine_local_training_is_not_available_and_says_why() -> None:
    refused = choose(AUTO, AUTO, CPU, offers(), CHAT)
    assert isinstance(refused, Refusal)
    assert (refused.field, refused.remedy) == ("", "install it")
    assert "local training is not available: it is not installed" in refused.message


def test_versions_are_compared_as_numbers_and_a_build_tag_is_none_of_them() -> None:
    assert numbers("2.13.0+cpu") == numbers("2.13") < numbers("2.13.1") < numbers("10.0")
    package = RECIPES[TRL].first[0]
    assert package.conflict("2.13.0+cu130") is None
    assert package.conflict("2.9.1") == "torch 2.9.1 is installed, torch>=2.13,<3 is needed"


MACHINE = Probe(
    python="3.11.7",
    versions=dict.fromkeys(("torch", "transformers", "trl", "peft"), "1"),
    device=Device(kind="cpu"),
)


def environment(folder: Path, answer: str) -> Path:
    """An interpreter that answers every question with `answer`."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    python.chmod(0o755)
    return python


async def looked_at(data_dir: Path, probe: Probe = MACHINE, **settings: object) -> dict[EngineName, Availability]:
    known = msgspec.convert(settings, LocalSettings)
    return await EngineEnvironments(known, data_dir, lambda: 0).offers(probe, sys.executable)


FIT = '{"python": "3.12.1", "versions": {"mlx": "0.32.4", "mlx-lm": "0.32.2"}, "conflicts": [], "device": null}'


async def test_an_environment_below_the_data_folder_is_found_by_itself(tmp_path: Path) -> None:
    python = environment(tmp_path / "engines" / "mlx", FIT)
    found = await looked_at(tmp_path)
    assert found[MLX].available
    assert (found[MLX].python, found[MLX].versions) == (str(python), {"mlx": "0.32.4", "mlx-lm": "0.32.2"})
    assert found[TRL].available
    assert {name for name, offer in found.items() if offer.available} == {MLX, TRL}


@pytest.mark.parametrize(
    ("answer", "obstacle", "told"),
    [
        ('{"python": "3.12.1", "versions": {"mlx": "0.32.4"}}', Obstacle.NOT_INSTALLED, "mlx-lm not installed"),
        (FIT.replace("0.32.2", "0.20"), Obstacle.VERSION_CONFLICT, "mlx-lm 0.20 is installed, mlx-lm>=0.32,<1 is"),
        (FIT.replace("3.12.1", "3.9.1"), Obstacle.VERSION_CONFLICT, "Python 3.9.1"),
        (FIT.replace("[]", '["mlx-lm needs a, and b is there"]'), Obstacle.VERSION_CONFLICT, "mlx-lm needs a"),
        ("Segmentation fault", Obstacle.NOT_STARTABLE, "ended with 0"),
    ],
)
async def test_an_environment_that_does_not_fit_says_how(
    tmp_path: Path, answer: str, obstacle: Obstacle, told: str
) -> None:
    environment(tmp_path / "engines" / "mlx", answer)
    found = (await looked_at(tmp_path))[MLX]
    assert found.obstacle is obstacle
    assert found.reason is not None
    assert told in found.reason
    assert found.remedy is not None
    assert "genome engine install mlx" in found.remedy


async def test_a_configured_interpreter_goes_before_an_installed_one_and_one_that_is_not_there_is_told(
    tmp_path: Path,
) -> None:
    environment(tmp_path / "engines" / "mlx", FIT)
    found = (await looked_at(tmp_path, engines={"mlx": {"python": "/nowhere/python"}}))[MLX]
    assert found.obstacle is Obstacle.NOT_STARTABLE
    assert "/nowhere/python cannot be started" in str(found.reason)


async def test_an_engine_for_gpus_is_not_even_looked_at_without_one(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    python = environment(tmp_path / "engines" / "unsloth", "{}")
    python.write_text(f"#!/bin/sh\ntouch {ran}\n")
    found = (await looked_at(tmp_path))[UNSLOTH]
    assert found.obstacle is Obstacle.NO_ACCELERATOR
    assert found.reason == "unsloth needs a CUDA GPU, and this machine has a CPU and no GPU"
    assert not ran.exists()


async def test_a_torch_that_sees_no_gpu_is_told_on_a_machine_with_one(tmp_path: Path) -> None:
    versions = ", ".join(f'"{package.name}": "{package.at_least}"' for package in RECIPES[UNSLOTH].needed)
    answer = f'{{"python": "3.12.1", "versions": {{{versions}}}, "conflicts": [], "device": "DEVICE"}}'
    gpu = Probe(versions=MACHINE.versions, device=Device(kind="cuda", count=2))
    assert machine_of(gpu) == Machine(device="cuda", gpus=2)
    environment(tmp_path / "with" / "engines" / "unsloth", answer.replace("DEVICE", "cuda"))
    environment(tmp_path / "without" / "engines" / "unsloth", answer.replace("DEVICE", "cpu"))
    assert (await looked_at(tmp_path / "with", gpu))[UNSLOTH].available
    blind = (await looked_at(tmp_path / "without", gpu))[UNSLOTH]
    assert blind.obstacle is Obstacle.NO_ACCELERATOR
    assert "sees no GPU" in str(blind.reason)


async def test_behind_a_trainers_socket_other_interpreters_cannot_be_had(tmp_path: Path) -> None:
    environment(tmp_path / "engines" / "mlx", FIT)
    found = (await looked_at(tmp_path, launch="socket:/run/t.sock"))[MLX]
    assert found.obstacle is Obstacle.NOT_STARTABLE


async def test_the_look_tells_of_a_real_interpreter_without_importing_what_it_finds(tmp_path: Path) -> None:
    found = (await looked_at(tmp_path, engines={"mlx": {"python": sys.executable}}))[MLX]
    assert found.obstacle in (None, Obstacle.NOT_INSTALLED)
    assert found.python == sys.executable


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as made:
        yield made


async def test_the_engine_and_the_reason_are_in_the_jobs_specification_and_its_python_runs_it(bench: Bench) -> None:
    ran = bench.root / "ran"
    python = environment(bench.root / "engines" / "mlx", FIT)
    text = python.read_text().replace(
        "cat <<", f'case "$2" in run) touch {ran}; exec {sys.executable} "$@";; esac\ncat <<'
    )
    python.write_text(text)
    bench.script(STARTED, ("obey", None))
    await accepted(bench, bench.submission(metadata={"engine": "mlx"}))
    spec = json_in(bench.attempt / "spec.json")
    assert (spec["engine"], spec["engineReason"], spec["processes"]) == ("mlx", "the job names it", 1)
    await bench.provider().pause("local-x", job_id=JOB, attempt=1)
    await accepted(bench, bench.submission(2, resume=True))
    again = json_in(bench.attempt.with_name("attempt-2") / "spec.json")
    assert again["engine"] == "mlx", "its checkpoints mean nothing to another engine"
    assert "the attempt before it" in again["engineReason"]
    assert ran.exists()


async def test_a_job_that_names_an_absent_engine_is_refused_by_the_check_and_at_the_door(bench: Bench) -> None:
    configuration = bench.configuration(metadata={"engine": "axolotl"})
    checked = await bench.provider().check(configuration, bench.dataset(), asked=())
    assert [problem.field for problem in checked.errors] == ["metadata.engine"]
    assert "(not_installed): axolotl is not installed" in checked.errors[0].message
    answer = await bench.provider().submit(bench.submission(metadata={"engine": "axolotl"}))
    assert isinstance(answer, Rejected)
    assert not bench.attempt.exists()


async def test_what_a_job_gets_by_itself_is_in_the_capabilities_with_every_engine(bench: Bench) -> None:
    able = await bench.provider().capabilities()
    assert [offer.name for offer in able.engines] == list(EngineName)
    assert able.engine is not None
    assert (able.engine.engine, able.engine.reason) == (TRL, "this machine has a CPU and no GPU")
    assert TrainingMethod.QLORA not in able.supported_methods
