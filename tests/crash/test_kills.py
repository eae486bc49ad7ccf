"""A few dozen of the kills of `make crash`: a real daemon dies at failpoints and comes back, nothing missing."""

import os
import random
from collections import deque
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from tests.crash.harness import AT_RANDOM, Harness, Target
from tests.crash.kill_world import around
from tests.crash.kills import played

from genomed.adapters.models import ModelClient
from genomed.daemon.assembly import PLAIN_PARTS
from genomed.daemon.courier.staging import Staging
from genomed.daemon.datasets.store import DatasetStore
from genomed.daemon.failpoints import (
    DATASET_CALLS,
    ERRAND_CALLS,
    MODEL_CALLS,
    PROVIDER_CALLS,
    RECIPE_CALLS,
    SERVING_CALLS,
    STAGING_CALLS,
    TRACE_VARIABLE,
    UPLOAD_CALLS,
    VARIABLE,
    kinds,
)
from genomed.daemon.journal.anchor import Anchor
from genomed.daemon.journal.database import WritingConnection
from genomed.daemon.journal.journal import PLAIN_JOURNAL, Journal
from genomed.daemon.journal.tail import Tail
from genomed.daemon.provider_table import ProviderTable
from genomed.daemon.recipe_engine.folder import RecipeFolder
from genomed.daemon.recipe_engine.models import ModelTable
from genomed.entities.dataset_port import DatasetFolder
from genomed.entities.errand_port import ErrandRunner
from genomed.entities.ports import Provider, Serving, Uploads

pytestmark = [pytest.mark.crash]

READS = {
    Provider: {"capabilities", "check", "estimate", "close"},
    Uploads: set[str](),
    Serving: {"hourly_usd"},
    DatasetFolder: {
        *("rehearse", "examine", "preview", "lineage", "find_row", "diff", "stats", "check"),
        *("rows_from", "rows_there", "whole", "folders", "labels_of_draft"),
    },
    RecipeFolder: {"templates", "planned", "first_items", "find"},
    Staging: {"has"},
    ModelClient: {"close"},
    ErrandRunner: {"look"},
}
"""What leaves nothing behind, neither on the disk nor at somebody else's: no failpoint."""

AIMS = (
    *("append.interaction.captured.before", "append.interaction.captured.after", "journal.append.commit"),
    *("journal.append.committed", "journal.anchor.after", "journal.publish.before", AT_RANDOM),
)
ON_THE_WAY = {
    "job": ("provider.simulated.submit.before", "provider.simulated.submit.after", "file.rename.layers", AT_RANDOM),
    "forgetting": (
        "append.forget.requested.after",
        "journal.erase.committed",
        "journal.checkpoint.*",
        "dataset.forget.*",
    ),
    "recipe": ("append.recipe.started.after", "model.chat.after", "append.recipe_item.finished.before", AT_RANDOM),
    "cloud": ("uploads.*.put.after", "provider.*.submit.after", "provider.*.publish.before"),
    "serving": ("serving.simulated.deploy.after", "append.deployment.undeploy_requested.after"),
    "rows": ("file.rename.datasets", "append.dataset.frozen.before", "append.draft.segment_removed.after"),
}


def test_without_the_variables_the_daemon_is_made_of_its_plain_parts(tmp_path: Path) -> None:
    made_of = kinds({"GENOMED_DATA_DIR": "/anywhere"}, tmp_path)
    assert (made_of.journal, made_of.parts) == (PLAIN_JOURNAL, PLAIN_PARTS)
    journal, parts = made_of.journal, made_of.parts
    assert (journal.journal, journal.connection, journal.anchor, journal.tail) == (
        Journal,
        WritingConnection,
        Anchor,
        Tail,
    )
    assert (parts.providers, parts.models, parts.datasets, parts.staging, parts.folder) == (
        ProviderTable,
        ModelTable,
        DatasetStore,
        Staging,
        RecipeFolder,
    )


@pytest.mark.parametrize(
    ("port", "calls"),
    [
        (Provider, PROVIDER_CALLS),
        (Uploads, UPLOAD_CALLS),
        (Serving, SERVING_CALLS),
        (DatasetFolder, DATASET_CALLS),
        (RecipeFolder, RECIPE_CALLS),
        (Staging, STAGING_CALLS),
        (ModelClient, MODEL_CALLS),
        (ErrandRunner, ERRAND_CALLS),
    ],
)
def test_every_call_that_acts_is_a_failpoint(port: type, calls: tuple[str, ...]) -> None:
    there = {name for name, one in vars(port).items() if iscoroutinefunction(one) and not name.startswith("_")}
    forgetful = {"forget", "prune"} if port is Provider else set[str]()  # only some have something to let go
    assert set(calls) == there - READS[port] | forgetful


def test_nobody_runs_the_suite_with_failpoints_by_mistake() -> None:
    assert not {VARIABLE, TRACE_VARIABLE} & os.environ.keys()


def test_killed_at_failpoints_of_every_kind_nothing_is_lost_and_nothing_is_done_twice() -> None:
    plan = deque(Target(point=point, scene="captures") for point in AIMS)
    plan += [Target(point=point, scene=scene) for scene, points in ON_THE_WAY.items() for point in points]
    aims = len(plan)
    with around("mistral") as world:
        stage = Harness(around=world, plan=plan, dice=random.Random(5))
        assert not played(stage)
    assert stage.killed.total() == aims
