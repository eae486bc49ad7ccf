"""The daemon's own read models keep the journal's law: made anew from any log, they equal what the appends made."""

import itertools
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.journal_rig import CAUSE
from tests.golden.samples import sample

from genomed.daemon.journal.journal import open_journal
from genomed.daemon.journal.verify import derived_digest
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.envelope import Write
from genomed.entities.errors import GenomeError
from genomed.entities.event_codec import EVENT_TYPES

OPENINGS = (
    "job.created", "dataset.frozen", "layer.published", "interaction.captured", "bucket.trigger_set", "draft.opened",
    "review.opened", "item.proposed", "recipe.started", "forget.requested", "self_task.opened",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(sorted(EVENT_TYPES)), st.integers(1, 2)), max_size=40)


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_a_rebuild_of_the_read_models_equals_what_the_appends_made(steps: list[tuple[str, int]]) -> None:
    ids = (f"event-{os.getpid()}-{number}" for number in itertools.count())
    clock = itertools.count(1_795_000_000_000_000, 1_000_000)

    async def check(data_dir: Path) -> None:
        models = GenomeReadModels()
        opening = open_journal(data_dir, read_models=models, now_us=lambda: next(clock), new_event_id=lambda: next(ids))
        async with opening as journal:
            for event_type, number in [*itertools.product(OPENINGS, (1, 2)), *steps]:
                stream = f"{event_type.partition('.')[0]}/{number}"
                with suppress(GenomeError):  # a fold may refuse an event that cannot have happened there
                    write = Write(stream=stream, expected=-1, events=(sample(EVENT_TYPES[event_type]),))
                    await journal.append([write], cause=CAUSE)
            incremental = derived_digest(data_dir / "journal.db", models)
            await journal.rebuild()
            assert derived_digest(data_dir / "journal.db", models) == incremental
            assert (await journal.verify()).problems == ()
            assert await journal.query("SELECT count(*) FROM jobs") == [(2,)]

    with TemporaryDirectory() as folder:
        anyio.run(check, Path(folder) / "data")
