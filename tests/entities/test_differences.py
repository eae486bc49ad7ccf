"""What changes when a job moves: every field once, the worst first; and a configuration without what was dropped."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import CONFIGURATION

from genomed.entities.capabilities import Features
from genomed.entities.configuration import CONFIGURATION_FIELDS
from genomed.entities.differences import feature_changes, field_changes, moved
from genomed.entities.errors import InvalidRequest
from genomed.entities.facts import EffectiveField
from genomed.entities.validation import value_at


def field(path: str, sent: str | None = "x", disposition: str = "sent") -> EffectiveField:
    return EffectiveField(field=path, asked="x", sent=sent, disposition=disposition)


def test_each_field_is_told_once_and_what_is_refused_comes_first() -> None:
    before = [field("a"), field("b"), field("c"), field("d"), field("old"), field("gone.in", sent=None)]
    after = [field("a"), field("b", "y"), field("c", None, "refused"), field("d", None, "defaulted"), field("new")]
    told = field_changes(before, after, dropped=["d"])
    assert [(one.field, one.change) for one in told] == [
        ("c", "refused"),
        ("d", "dropped"),
        ("b", "changed"),
        ("old", "changed"),
        ("new", "new"),
        ("a", "same"),
        ("gone.in", "same"),
    ]


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), max_size=2),
)
def test_no_field_is_lost_and_none_told_twice(before: list[str], after: list[str], dropped: list[str]) -> None:
    told = field_changes([field(one) for one in before], [field(one) for one in after], dropped=dropped)
    assert sorted(one.field for one in told) == sorted({*before, *after})


def test_features_of_a_provider_that_cannot_be_asked_are_unknown() -> None:
    changes = {one.feature: (one.before, one.after) for one in feature_changes(None, Features(pause=True))}
    assert changes["pause"] == (None, True)
    assert set(changes) == set(msgspec.to_builtins(Features()))


def test_what_is_dropped_is_as_it_is_by_default_and_nobody_asked_for_it() -> None:
    given_ = msgspec.convert(
        {
            **msgspec.to_builtins(CONFIGURATION),
            "schedule": {"epochs": 9, "batchSize": 2},
            "metadata": {"a.b": 1, "c": 2},
        },
        type(CONFIGURATION),
    )
    asked = ("model.baseModel", "schedule.epochs", "schedule.batchSize", "metadata.a.b", "metadata.c")
    there = moved(given_, asked, base_model=None, metadata={"d": 3}, drop=["schedule.epochs", "metadata.a.b"])
    assert (there.configuration.schedule.epochs, there.configuration.schedule.batch_size) == (3, 2)
    assert dict(there.configuration.metadata) == {"c": 2, "d": 3}
    assert there.asked == ("model.baseModel", "schedule.batchSize", "metadata.c", "metadata.d")


def test_without_a_wish_the_configuration_moves_as_it_is() -> None:
    same = moved(CONFIGURATION, ("model.baseModel",), base_model=None, metadata={}, drop=[])
    assert (same.configuration, same.asked) == (CONFIGURATION, ("model.baseModel",))


NEEDED = ("model.baseModel", "datasets.trainingFileId", "method.type")
ABSENT = ("no.such", "metadata.none", "hardware.gpuType", "model.precision", "output.suffix")


@given(st.sampled_from([*CONFIGURATION_FIELDS, *ABSENT]))
def test_any_path_that_is_there_and_not_needed_can_be_dropped(path: str) -> None:
    if path in NEEDED or path in ABSENT or value_at(CONFIGURATION, path) is None:
        with pytest.raises(InvalidRequest):
            moved(CONFIGURATION, (path,), base_model=None, metadata={}, drop=[path])
    else:
        assert moved(CONFIGURATION, (path,), base_model=None, metadata={}, drop=[path]).asked == ()


def test_every_path_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        moved(CONFIGURATION, (), base_model=None, metadata={}, drop=["hardware.gpuType", "metadata.x"])
    assert len(refused.value.details) == 2
