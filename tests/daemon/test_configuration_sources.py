"""Sources of the configuration: any value by a variable, every problem of every source at once and with its place."""

from pathlib import Path

import pytest

from genomed.daemon.configuration.settings import Loaded, Settings, load
from genomed.daemon.configuration.sources import variables
from genomed.entities.errors import InvalidRequest, Problem

HOME = {"HOME": "/h"}


def loaded(
    tmp_path: Path, toml: str = "", environment: dict[str, str] | None = None, *, data: str | None = None
) -> Loaded:
    path = tmp_path / "g.toml"
    path.write_text(toml, encoding="utf-8")
    return load({**HOME, **(environment or {})}, config=str(path), data=data, socket=None)


def told(tmp_path: Path, toml: str, environment: dict[str, str] | None = None) -> dict[str, Problem]:
    with pytest.raises(InvalidRequest) as refused:
        loaded(tmp_path, toml, environment)
    return {one.field: one for one in refused.value.details}


def test_any_value_can_be_given_by_a_variable_that_spells_its_path(tmp_path: Path) -> None:
    environment = {
        "GENOMED_LIMITS__BODY_BYTES": "4096",
        "GENOMED_LEARNING__TRIGGER__MIN_EXAMPLES": "12",
        "GENOMED_ALLOWED_PROVIDERS": '["local"]',
        "GENOMED_COURIER__POLL_S": '{"fireworks": 30}',
        "GENOMED_POLICIES__TOGETHER__CONFIRM": "True",
        "GENOMED_PROVIDERS__OPENAI__BASE_URL": "http://127.0.0.1:1/v1",
        "GENOMED_PROVIDERS__OPENAI__TIMEOUT_S": "2.5",
        "GENOMED_SELF_TASKS__ENABLED": "true",
    }
    settings = loaded(tmp_path, "[courier.poll_s]\nlocal = 2", environment).settings
    assert settings.limits.body_bytes == 4096
    assert settings.learning.trigger.min_examples == 12
    assert settings.allowed_providers == ("local",)
    assert settings.courier.poll_s == {"local": 2.0, "fireworks": 30.0}, "tables are laid into each other"
    assert settings.policies["together"].confirm is True
    assert settings.providers["openai"] == {"base_url": "http://127.0.0.1:1/v1", "timeout_s": 2.5}
    assert settings.self_tasks.enabled is True


def test_a_variable_means_the_table_of_the_file_however_that_is_spelt(tmp_path: Path) -> None:
    toml = '[models.My-Writer]\nbase_url = "http://127.0.0.1:1/v1"'
    settings = loaded(tmp_path, toml, {"GENOMED_MODELS__MY_WRITER__MODEL": "m"}).settings
    assert settings.models["My-Writer"].model == "m"


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", {"GENOMED_LOG_LEVEL": "", "GENOMED_NONSENSE": ""}).settings.log_level == "info"


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("GENOMED_LIMITS__BODY_BITES", "GENOMED_LIMITS__BODY_BYTES"),
        ("GENOMED_LOGLEVEL", "GENOMED_LOG_LEVEL"),
        ("GENOMED_DATADIR", "GENOMED_DATA_DIR"),
        ("GENOMED_CONFIGURATION", "GENOMED_CONFIG"),
        ("GENOMED_LOG_LEVEL__MORE", "GENOMED_LOG_LEVEL"),
    ],
)
def test_a_variable_that_leads_nowhere_is_a_problem_that_names_the_nearest(
    tmp_path: Path, variable: str, near: str
) -> None:
    problem = told(tmp_path, "", {variable: "1"})[variable]
    assert near in str(problem.remedy)


@pytest.mark.parametrize("variable", ["GENOMED_", "GENOMED___", "GENOMED_MODELS__", "GENOMED_ZZZ"])
def test_a_variable_that_is_like_no_other_is_a_problem_too(tmp_path: Path, variable: str) -> None:
    assert variable in told(tmp_path, "", {variable: "1"})


@pytest.mark.parametrize(
    "variable", ["GENOMED_TOKEN", "GENOMED_TOKEN_FILE", "GENOMED_FAILPOINT", "GENOMED_FAILPOINT_TRACE"]
)
def test_variables_of_other_parts_are_left_to_them(tmp_path: Path, variable: str) -> None:
    loaded(tmp_path, "", {variable: "x"})


def test_all_problems_of_all_sources_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    toml = 'log_level = "loud"\ncolour = 1\n[limits]\nbody_bytes = 3\n[models.w]\nmodel = "m"'
    environment = {
        "GENOMED_LOG_LEVEL": "info",
        "GENOMED_COURIER__QUESTIONS": "many",
        "GENOMED_COLOUR": "red",
        "GENOMED_ACCESS__ROLES": '{"1001": "king"}',
    }
    problems = told(tmp_path, toml, environment)
    places = {
        "log_level": "g.toml:1)",  # although the variable covers it
        "colour": "g.toml:2)",
        "limits.body_bytes": "g.toml:4)",
        "models.w.base_url": "g.toml:5)",
        "courier.questions": "(GENOMED_COURIER__QUESTIONS)",
        "access.roles.1001": "(GENOMED_ACCESS__ROLES)",
    }
    assert set(problems) == {*places, "GENOMED_COLOUR"}
    assert {field for field, place in places.items() if not problems[field].message.endswith(place)} == set()


def test_a_file_that_cannot_be_read_does_not_hide_what_is_wrong_elsewhere(tmp_path: Path) -> None:
    assert set(told(tmp_path, "= 3", {"GENOMED_LOG_LEVEL": "loud"})) == {"config", "log_level"}


def test_what_one_source_lacks_another_may_give(tmp_path: Path) -> None:
    toml = '[models.w]\nbase_url = "http://127.0.0.1:1/v1"'
    assert loaded(tmp_path, toml, {"GENOMED_MODELS__W__MODEL": "m"}).settings.models["w"].model == "m"
    assert "models.w.base_url" in told(tmp_path, "", {"GENOMED_MODELS__W__MODEL": "m"})


def test_two_variables_for_one_value_are_a_problem(tmp_path: Path) -> None:
    environment = {"GENOMED_BASE_MODEL": "a", "GENOMED_LEARNING__BASE_MODEL": "b"}
    message = told(tmp_path, "", environment)["learning.base_model"].message
    assert all(variable in message for variable in environment)


def test_the_deeper_variable_goes_before_the_one_for_the_whole_table(tmp_path: Path) -> None:
    environment = {"GENOMED_LIMITS": '{"body_bytes": 5000, "bus_batch": 7}', "GENOMED_LIMITS__BODY_BYTES": "6000"}
    limits = loaded(tmp_path, "", environment).settings.limits
    assert (limits.body_bytes, limits.bus_batch) == (6000, 7)


def test_a_text_that_looks_like_a_number_stays_a_text_where_a_text_is_wanted(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", {"GENOMED_BASE_MODEL": "7"}).settings.learning.base_model == "7"
    environment = {"GENOMED_PROVIDERS__FIREWORKS__ACCOUNT_ID": '"7"'}
    assert loaded(tmp_path, "", environment).settings.providers["fireworks"] == {"account_id": "7"}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ', "\udcff", "1e999", "9" * 400])
def test_whatever_a_variable_holds_is_named_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    assert "limits.body_bytes" in told(tmp_path, "", {"GENOMED_LIMITS__BODY_BYTES": text})


def test_each_value_knows_where_it_came_from(tmp_path: Path) -> None:
    toml = "\n[limits]\nbus_batch = 7\n[courier]\nslots = { local = 2 }"
    source = loaded(tmp_path, toml, {"GENOMED_COURIER__QUESTIONS": "3"}, data="/line").source
    assert source.origins["limits.bus_batch"].endswith("g.toml:3")
    assert source.origins["courier.slots.local"].endswith("g.toml")
    assert source.origins["courier.questions"] == "GENOMED_COURIER__QUESTIONS"
    assert source.origins["data_dir"] == "--data-dir"
    assert source.origins["socket"] == "default, by data_dir"
    assert "limits.body_bytes" not in source.origins


def test_every_variable_with_a_fixed_path_leads_to_a_field(tmp_path: Path) -> None:
    """Their values are nonsense for most: no complaint may say that the variable is not known."""
    names = [name for name in variables(Settings) if name not in ("GENOMED_CONFIG", "GENOMED_DATA_DIR")]
    assert len(names) > 30
    with pytest.raises(InvalidRequest) as refused:
        loaded(tmp_path, "", dict.fromkeys(names, "\x00nonsense"))
    assert [one for one in refused.value.details if "is not known" in one.message] == []


def test_a_key_in_place_of_its_reference_keeps_the_daemon_from_starting_and_is_not_repeated(tmp_path: Path) -> None:
    key = "sk-proj-" + "canary7" * 5
    toml = f'[providers.openai]\napi_key = "{key}"\n[providers.mine]\nnested = [{{ token = "{key}" }}]'
    problems = told(tmp_path, toml, {"GENOMED_MODELS__W__API_KEY": key})
    assert {"providers.openai.api_key", "providers.mine.nested[0].token", "models.w.api_key"} <= set(problems)
    assert "canary7" not in str(list(problems.values()))
