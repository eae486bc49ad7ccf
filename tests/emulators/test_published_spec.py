"""The published documents, corrected, take what is good and name what is not; and no correction is out of date."""

from collections.abc import Iterator

import pytest
from tests.emulators.published_spec import PROVIDERS, Part, PublishedSpec, needs_specs
from tests.emulators.schema_closing import Node, node
from tests.emulators.spec_corrections import Addition, Patch, corrections

pytestmark = needs_specs

FILE = "2f1a3c1e-8e6a-4d0c-9a57-0d3a5d6f7b21"
ACCOUNT = "/v1/accounts/emulated"

CREATE_PATHS = {
    "openai": "/v1/fine_tuning/jobs",
    "fireworks": f"{ACCOUNT}/supervisedFineTuningJobs",
    "together": "/v1/fine-tunes",
    "mistral": "/v1/fine_tuning/jobs",
}


def good_body(provider: str) -> dict[str, object]:
    match provider:
        case "openai":
            tuning = {"n_epochs": 3, "learning_rate_multiplier": 0.5, "beta": 0.1, "batch_size": "auto"}
            method = {"type": "dpo", "dpo": {"hyperparameters": tuning}}
            return {"model": "gpt-4o-mini", "training_file": "file-1", "seed": None, "method": method}
        case "fireworks":
            return {"dataset": f"{ACCOUNT}/datasets/gn-1", "baseModel": "m", "epochs": 3, "loraRank": 8}
        case "together":
            scheduler = {"lr_scheduler_type": "cosine", "lr_scheduler_args": {"min_lr_ratio": 0.1, "num_cycles": 0.5}}
            method = {"method": "sft", "train_on_inputs": "auto"}
            return {"model": "m", "training_file": "f", "training_method": method, "lr_scheduler": scheduler}
        case "mistral":
            files = [{"file_id": FILE, "weight": 1}]
            return {"model": "m", "training_files": files, "hyperparameters": {"epochs": 2.5, "learning_rate": 1e-08}}
        case _:
            raise AssertionError(provider)


def problems(provider: str, body: object) -> list[str]:
    return PublishedSpec.load(provider).request_problems("POST", CREATE_PATHS[provider], (), body)


def mappings(inside: object, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    if isinstance(inside, dict):
        yield way, inside
        for key, value in inside.items():
            yield from mappings(value, (*way, key))
    elif isinstance(inside, list):
        for place, value in enumerate(inside):
            yield from mappings(value, (*way, str(place)))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_good_create_is_accepted(provider: str) -> None:
    assert problems(provider, good_body(provider)) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_misspelt_key_is_a_problem_at_every_depth(provider: str) -> None:
    depths = [way for way, _ in mappings(good_body(provider))]
    for way in depths:
        body = good_body(provider)
        inside = next(found for at, found in mappings(body) if at == way)
        inside["lerning_rate"] = 1
        assert problems(provider, body), f"a misspelt key passed at {way}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_number_where_a_name_belongs_is_a_problem(provider: str) -> None:
    key = "baseModel" if provider == "fireworks" else "model"
    assert problems(provider, {**good_body(provider), key: 7})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_required_key_is_a_problem(provider: str) -> None:
    required = "dataset" if provider == "fireworks" else "model"
    assert problems(provider, {k: v for k, v in good_body(provider).items() if k != required})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_path_that_is_not_published_is_a_problem(provider: str) -> None:
    spec = PublishedSpec.load(provider)
    assert spec.request_problems("POST", CREATE_PATHS[provider].replace("/v1", "/v1/v1"), (), good_body(provider))
    assert spec.request_problems("PUT", CREATE_PATHS[provider], (), good_body(provider))
    assert spec.request_problems("GET", f"{CREATE_PATHS[provider]}/x:nonsense/deeper")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_query_key_that_is_not_published_is_a_problem(provider: str) -> None:
    spec = PublishedSpec.load(provider)
    assert spec.request_problems("GET", CREATE_PATHS[provider]) == []
    assert spec.request_problems("GET", CREATE_PATHS[provider], {"lmit": "3"})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_create_without_a_body_is_a_problem(provider: str) -> None:
    assert PublishedSpec.load(provider).request_problems("POST", CREATE_PATHS[provider])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_with_an_unknown_status_word_is_a_problem(provider: str) -> None:
    spec = PublishedSpec.load(provider)
    word = {"state": "BOGUS"} if provider == "fireworks" else {"status": "bogus", "id": FILE}
    assert spec.response_problems("GET", f"{CREATE_PATHS[provider]}/{FILE}", 200, word)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_is_not_published_is_a_problem_and_an_error_is_not(provider: str) -> None:
    spec = PublishedSpec.load(provider)
    assert spec.response_problems("POST", CREATE_PATHS[provider], 299, {})
    assert spec.response_problems("POST", CREATE_PATHS[provider], 418, {}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta", 3.0),
        ("beta", 0),
        ("n_epochs", 99),
        ("n_epochs", 0),
        ("batch_size", "max"),
        ("learning_rate_multiplier", 0),
    ],
)
def test_openai_refuses_what_is_out_of_range(key: str, value: object) -> None:
    body = good_body("openai")
    tuning = next(found for way, found in mappings(body) if way[-1:] == ("hyperparameters",))
    tuning[key] = value
    assert problems("openai", body)


@pytest.mark.parametrize(
    ("key", "value"),
    [("learning_rate", 1e-09), ("learning_rate", 2), ("epochs", 0), ("seq_len", 99), ("warmup_fraction", 1.5)],
)
def test_mistral_refuses_what_is_out_of_range(key: str, value: object) -> None:
    body = good_body("mistral")
    node(body["hyperparameters"])[key] = value
    assert problems("mistral", body)


def test_mistral_refuses_a_suffix_over_eighteen_characters_and_a_file_id_that_is_none() -> None:
    assert problems("mistral", {**good_body("mistral"), "suffix": "x" * 18}) == []
    assert problems("mistral", {**good_body("mistral"), "suffix": "x" * 19})
    assert problems("mistral", {**good_body("mistral"), "training_files": [{"file_id": "file-1"}]})


def test_together_takes_both_ways_of_training_and_no_third() -> None:
    lora = {"type": "Lora", "lora_r": 8, "lora_alpha": 16}
    for kind in (lora, {"type": "Full"}, None):
        assert problems("together", {**good_body("together"), "training_type": kind}) == []
    assert problems("together", {**good_body("together"), "training_type": {"type": "QLora"}})
    assert problems("together", {**good_body("together"), "training_type": {**lora, "lora_rank": 8}})


def test_fireworks_refuses_a_read_only_key_in_a_request_and_shows_it_in_an_answer() -> None:
    assert problems("fireworks", {**good_body("fireworks"), "state": "JOB_STATE_RUNNING"})
    shown = {"dataset": "d", "state": "JOB_STATE_RUNNING"}
    assert (
        PublishedSpec.load("fireworks").response_problems("GET", f"{CREATE_PATHS['fireworks']}/gn1", 200, shown) == []
    )


def test_fireworks_tells_an_action_from_an_id_and_counts_in_strings() -> None:
    spec = PublishedSpec.load("fireworks")
    where = f"{ACCOUNT}/datasets/gn-1:getUploadEndpoint"
    assert spec.request_problems("POST", where, (), {"filenameToSize": {"a.jsonl": "12"}}) == []
    assert spec.request_problems("POST", where, (), {"filenameToSize": {"a.jsonl": 12}})
    assert spec.request_problems("POST", where, (), {"filenameToSize": {"a.jsonl": "twelve"}})
    assert spec.request_problems("GET", f"{ACCOUNT}/datasets/gn-1:nonsense")


def test_query_values_are_read_as_the_type_they_are_published_with() -> None:
    spec = PublishedSpec.load("openai")
    path = CREATE_PATHS["openai"]
    assert spec.request_problems("GET", path, [("metadata[genome_job]", "x"), ("limit", "5")]) == []
    assert spec.request_problems("GET", path, {"limit": "many"})
    dry = {"dry_run": "true"}
    assert PublishedSpec.load("mistral").request_problems("POST", path, dry, good_body("mistral")) == []
    assert PublishedSpec.load("mistral").request_problems("POST", path, {"dry_run": "maybe"}, good_body("mistral"))
    assert PublishedSpec.load("together").request_problems("GET", "/v1/fine-tunes/models/limits")


def test_multipart_parts_are_held_against_their_schema() -> None:
    file, purpose = Part(filename="a.jsonl"), Part(data=b"fine-tune")
    uploads = {"openai": "/v1/files", "mistral": "/v1/files", "together": "/v1/files/upload"}
    for provider, path in uploads.items():
        spec = PublishedSpec.load(provider)
        good = {"file": file, "purpose": purpose} | ({"file_name": Part(data=b"a")} if provider == "together" else {})
        assert spec.request_problems("POST", path, (), multipart=good) == []
        assert spec.request_problems("POST", path, (), multipart={**good, "purpos": purpose})
        assert spec.request_problems("POST", path, (), multipart={**good, "file": purpose})
        assert spec.request_problems("POST", path, (), multipart={**good, "purpose": Part(data=b"nonsense")})
        assert spec.request_problems("POST", path, (), multipart={k: v for k, v in good.items() if k != "file"})
        assert spec.request_problems("POST", path, (), {"purpose": "fine-tune"})


def test_a_multipart_field_in_brackets_is_read_as_an_object() -> None:
    parts = {"file": Part(filename="a"), "purpose": Part(data=b"fine-tune")}
    expiry = {"expires_after[anchor]": Part(data=b"created_at"), "expires_after[seconds]": Part(data=b"7200")}
    spec = PublishedSpec.load("openai")
    assert spec.request_problems("POST", "/v1/files", (), multipart={**parts, **expiry}) == []
    late = {"expires_after[anchor]": Part(data=b"created_at"), "expires_after[seconds]": Part(data=b"soon")}
    assert spec.request_problems("POST", "/v1/files", (), multipart={**parts, **late})


def test_a_correction_that_fits_no_more_fails() -> None:
    document: Node = {"a": {"b": 1}}
    with pytest.raises(AssertionError, match="is there, not"):
        Patch(at="/a/b", was=2, now=3, why="").apply(document)
    with pytest.raises(AssertionError, match="nothing is there"):
        Patch(at="/a/c", was=2, now=3, why="").apply(document)
    with pytest.raises(AssertionError, match="not there any more"):
        Patch(at="/x/y/z", was=2, now=3, why="").apply(document)
    with pytest.raises(AssertionError, match="drop the addition"):
        Addition(at="/a/b", now=3, why="").apply(document)
    Patch(at="/a/b", was=1, now=3, why="").apply(document)
    Addition(at="/a/c", now=4, why="").apply(document)
    assert document == {"a": {"b": 3, "c": 4}}


def test_every_correction_says_why() -> None:
    assert [c.at for provider in PROVIDERS for c in corrections(provider) if not c.why] == []
