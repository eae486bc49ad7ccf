"""Settings: the command line goes before the environment, that before the file, and every mistake is told at once."""

from pathlib import Path

import pytest

from genomed.daemon.configuration.settings import Settings, load_settings
from genomed.entities.errors import InvalidRequest
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

HOME = {"HOME": "/h"}


def load(
    tmp_path: Path,
    toml: str = "",
    environment: dict[str, str] | None = None,
    *,
    data: str | None = None,
    socket: str | None = None,
) -> Settings:
    path = tmp_path / "genomed.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings({**HOME, **(environment or {})}, config=str(path), data=data, socket=socket)


def objections(tmp_path: Path, toml: str, environment: dict[str, str] | None = None) -> set[str]:
    with pytest.raises(InvalidRequest) as refused:
        load(tmp_path, toml, environment)
    return {problem.field for problem in refused.value.details}


def test_without_a_word_from_anybody_everything_has_a_default() -> None:
    settings = load_settings(HOME, config=None, data=None, socket=None)
    assert (settings.data_dir, settings.socket) == (
        "/h/.local/state/genomed",
        "/h/.local/state/genomed/genomed.sock",
    )
    assert (settings.log_level, settings.allowed_providers, settings.learning.trigger) == ("info", None, TriggerRule())
    assert settings.courier.slots == {"local": 1}


def test_the_command_line_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    toml = 'data_dir = "/file"\nsocket = "/file.sock"'
    environment = {"GENOMED_DATA_DIR": "/env", "GENOMED_SOCKET": "/env.sock"}
    told = [
        load(tmp_path, toml, environment, data="/line", socket="/line.sock"),
        load(tmp_path, toml, environment),
        load(tmp_path, toml),
    ]
    assert [(one.data_dir, one.socket) for one in told] == [
        ("/line", "/line.sock"),
        ("/env", "/env.sock"),
        ("/file", "/file.sock"),
    ]


def test_a_data_folder_named_by_hand_holds_its_own_socket(tmp_path: Path) -> None:
    session = {"XDG_RUNTIME_DIR": "/run/user/1"}
    assert load(tmp_path, environment=session).socket == "/run/user/1/genomed/genomed.sock"
    assert load(tmp_path, environment=session, data="/line").socket == "/line/genomed.sock"


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/h")
    assert load(tmp_path, data="here").data_dir == str(tmp_path / "here")
    assert load(tmp_path, data="~/there", socket="~/s").socket == "/h/s"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('log_level = "debug"', encoding="utf-8")
    settings = load_settings({**HOME, "GENOMED_CONFIG": str(path)}, config=None, data=None, socket=None)
    assert settings.log_level == "debug"


def test_single_settings_may_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"GENOMED_LOG_LEVEL": "error", "GENOMED_BASE_MODEL": "tiny", "GENOMED_LOCAL_PYTHON": "/py"}
    settings = load(tmp_path, 'log_level = "debug"\n[providers.local]\nthreads = 2', environment)
    assert (settings.log_level, settings.learning.base_model) == ("error", "tiny")
    assert settings.providers == {"local": {"python": "/py", "threads": 2}}


def test_a_file_says_it_all_in_its_own_sections(tmp_path: Path) -> None:
    toml = """
    allowed_providers = ["local"]
    [access.roles]
    1001 = "capture"
    [learning.trigger]
    minExamples = 10
    [courier.slots]
    local = 2
    """
    settings = load(tmp_path, toml)
    assert settings.allowed_providers == ("local",)
    assert settings.access.roles == {"1001": Role.CAPTURE}
    assert (settings.learning.trigger.min_examples, settings.courier.slots) == (10, {"local": 2})


def test_every_mistake_in_a_file_is_told_at_once_by_its_own_names(tmp_path: Path) -> None:
    toml = """
    log_level = "loud"
    colour = "red"
    [limits]
    body_bytes = 3
    [access.roles]
    1001 = "king"
    [learning.trigger]
    minExamples = 9
    [courier.poll_s]
    local = 0
    """
    assert objections(tmp_path, toml) == {
        "log_level",
        "colour",
        "limits.body_bytes",
        "access.roles.1001",
        "learning.trigger.minExamples",
        "courier.poll_s.local",
    }


def test_a_mistake_in_the_environment_is_told_by_its_place(tmp_path: Path) -> None:
    assert objections(tmp_path, "", {"GENOMED_LOG_LEVEL": "loud"}) == {"log_level"}


@pytest.mark.parametrize("toml", ["= 3", "[a", "a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path, toml: str) -> None:
    with pytest.raises(InvalidRequest, match=r"genomed\.toml is not TOML"):
        load(tmp_path, toml)


def test_a_file_that_is_not_there_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"/no/such\.toml cannot be read: No such file"):
        load_settings(HOME, config="/no/such.toml", data=None, socket=None)


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="at most 107"):
        load(tmp_path, socket="/" + "s" * 200)


@pytest.mark.parametrize(
    ("toml", "field"),
    [
        ("data_dir = 3", "data_dir"),
        ("socket = 3", "socket"),
        ("learning = 3", "learning"),
        ("providers = []", "providers"),
    ],
)
def test_a_setting_of_another_kind_is_a_mistake_like_any_other(tmp_path: Path, toml: str, field: str) -> None:
    environment = {"GENOMED_BASE_MODEL": "tiny", "GENOMED_LOCAL_PYTHON": "/py"}
    assert objections(tmp_path, toml, environment) == {field}


def test_a_file_that_is_no_text_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "genomed.toml"
    path.write_bytes(b'socket = "\xff"')
    with pytest.raises(InvalidRequest, match=r"genomed\.toml"):
        load_settings(HOME, config=str(path), data=None, socket=None)


def test_what_is_wrong_with_a_preset_is_told_at_the_start(tmp_path: Path) -> None:
    toml = """
    [presets.odd]
    provider = "local"
    summary = "one line"
    [presets.odd.configuration]
    method = { type = "magic" }
    schedule = { epochs = 99 }
    [prompts.none]
    summary = "one line"
    prompts = []
    """
    assert objections(tmp_path, toml) == {
        "prompts.none.prompts",
        "presets.odd.configuration.method.type",
        "presets.odd.configuration.schedule.epochs",
    }


def test_models_that_contradict_themselves_are_told_all_at_once(tmp_path: Path) -> None:
    text = """
[models.empty]
base_url = "http://127.0.0.1:1/v1"

[models.half]
base_url = "https://models.example/v1"
model = "m"
prompt_usd_per_million = 1.0
"""
    assert objections(tmp_path, text) == {"models.empty.model", "models.half.completion_usd_per_million"}
