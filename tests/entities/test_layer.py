"""Layers and the genome: what is active, what was before, and no way in for what is not proved better."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import VERDICT
from tests.golden.samples import sample

from genomed.entities.deployment_events import (
    LayerCompared,
    LayerWithdrawalRequested,
    LayerWithdrawalTroubled,
    LayerWithdrawn,
)
from genomed.entities.errors import Conflict, ErrorKind
from genomed.entities.events import GenomeEvent, LayerActivated, LayerJudged, LayerPublished
from genomed.entities.layer import Genome, Layer, Withdrawal, activate, evolve_genome, evolve_layer, roll_back

PUBLISHED = msgspec.structs.replace(sample(LayerPublished), domain="cooking", base_model="tiny")
UNJUDGED = evolve_layer(None, PUBLISHED, at_us=1)
PROVED = evolve_layer(UNJUDGED, LayerJudged(verdict=VERDICT), at_us=2)
WORSE = evolve_layer(
    UNJUDGED, LayerJudged(verdict=msgspec.structs.replace(VERDICT, adopt=False, reasons=("it fell",))), at_us=2
)
PLACE = ("cooking", "tiny")


def wearing(*layer_ids: str) -> Genome:
    """The genome after these layers were activated, one after the other."""
    genome = Genome()
    for n, layer_id in enumerate(layer_ids, start=1):
        genome = evolve_genome(genome, activate(genome, layer_id, PROVED, reason="r", forced=False), at_us=n)
    return genome


def test_a_layer_is_judged_after_it_was_published_and_published_once() -> None:
    assert (UNJUDGED.verdict, PROVED.verdict) == (None, VERDICT)
    assert evolve_layer(PROVED, PUBLISHED, at_us=9) == PROVED
    with pytest.raises(ValueError, match=r"opens with layer\.published"):
        evolve_layer(None, LayerJudged(verdict=VERDICT), at_us=0)


def test_a_layer_remembers_its_last_comparison_and_nothing_else_changes() -> None:
    with pytest.raises(ValueError, match=r"layer\.published"):
        evolve_layer(None, sample(LayerCompared), at_us=0)
    compared = sample(LayerCompared)
    after = evolve_layer(PROVED, compared, at_us=3)
    assert after == msgspec.structs.replace(PROVED, compared=compared)


def test_an_activation_says_what_it_replaces() -> None:
    event = activate(wearing("ly-1"), "ly-2", PROVED, reason="better", forced=False)
    assert (event.layer_id, event.previous_layer_id, event.domain, event.base_model) == ("ly-2", "ly-1", *PLACE)
    assert activate(None, "ly-1", PROVED, reason="first", forced=False).previous_layer_id is None


@pytest.mark.parametrize(("layer", "why"), [(UNJUDGED, "never judged"), (WORSE, "it fell")])
def test_a_layer_that_is_not_proved_better_needs_force(layer: Layer, why: str) -> None:
    with pytest.raises(Conflict, match=why):
        activate(None, "ly-1", layer, reason="r", forced=False)
    assert activate(None, "ly-1", layer, reason="r", forced=True).forced


@pytest.mark.parametrize("forced", [True, False])
def test_an_active_layer_is_not_activated_again(*, forced: bool) -> None:
    with pytest.raises(Conflict, match="active already"):
        activate(wearing("ly-1"), "ly-1", PROVED, reason="r", forced=forced)


def test_rolling_back_goes_step_by_step_to_the_base_model() -> None:
    genome = wearing("ly-1", "ly-2", "ly-3")
    seen = []
    while genome.active(*PLACE) is not None:
        genome = evolve_genome(genome, roll_back(genome, *PLACE, reason="worse"), at_us=9)
        seen.append(genome.active(*PLACE))
    assert seen == ["ly-2", "ly-1", None]
    with pytest.raises(Conflict, match="the base model is in use"):
        roll_back(genome, *PLACE, reason="worse")


@pytest.mark.parametrize("genome", [None, Genome(), wearing("ly-1")])
def test_there_is_nothing_to_roll_back_where_nothing_is_active(genome: Genome | None) -> None:
    with pytest.raises(Conflict, match="no layer is active for domain 'music'"):
        roll_back(genome, "music", "tiny", reason="r")


def test_a_layer_that_was_rolled_back_can_be_worn_again() -> None:
    genome = wearing("ly-1", "ly-2")
    genome = evolve_genome(genome, roll_back(genome, *PLACE, reason="r"), at_us=3)
    genome = evolve_genome(genome, activate(genome, "ly-2", PROVED, reason="r", forced=False), at_us=4)
    slot = genome.slot(*PLACE)
    assert slot is not None
    assert (slot.layer_id, slot.history, slot.since_us, genome.generation) == ("ly-2", (None, "ly-1"), 4, 4)


def test_a_withdrawal_is_open_until_the_provider_keeps_it_no_more() -> None:
    with pytest.raises(ValueError, match="after somebody asked"):
        evolve_layer(PROVED, LayerWithdrawn(model="ft:m"), at_us=3)
    asked = evolve_layer(PROVED, LayerWithdrawalRequested(model="ft:m", reason="r"), at_us=3)
    expected = Withdrawal(model="ft:m", reason="r", requested_us=3)
    assert asked.withdrawal == expected
    troubled = evolve_layer(asked, LayerWithdrawalTroubled(kind=ErrorKind.FORBIDDEN, message="no"), at_us=4)
    assert troubled.withdrawal == msgspec.structs.replace(expected, trouble="no")
    gone = evolve_layer(troubled, LayerWithdrawn(model="ft:m"), at_us=5)
    assert gone.withdrawal == msgspec.structs.replace(expected, withdrawn_us=5)
    for layer in (asked, troubled, gone):
        with pytest.raises(Conflict, match="withdrawn"):
            activate(None, "ly-1", layer, reason="r", forced=True)


def test_rolling_back_passes_over_what_was_withdrawn() -> None:
    genome = wearing("ly-1", "ly-2", "ly-3")
    event = roll_back(genome, *PLACE, reason="r", withdrawn=frozenset({"ly-2"}))
    after = evolve_genome(genome, event, at_us=9)
    slot = after.slot(*PLACE)
    assert slot is not None
    assert (event.restored_layer_id, slot.layer_id, slot.history) == ("ly-1", "ly-1", (None,))
    event = roll_back(genome, *PLACE, reason="r", withdrawn=frozenset({"ly-1", "ly-2"}))
    slot = evolve_genome(genome, event, at_us=9).slot(*PLACE)
    assert slot is not None
    assert (slot.layer_id, slot.history) == (None, ())


STEPS = st.lists(
    st.tuples(st.sampled_from(["cooking", "music"]), st.sampled_from(["ly-1", "ly-2", "ly-3", None])), max_size=20
)


@given(STEPS)
def test_rolling_back_an_activation_restores_what_was_active(steps: list[tuple[str, str | None]]) -> None:
    """None: roll back. Each domain is a stack of its own, and every change is a generation."""
    genome, stacks, changes = Genome(), {"cooking": list[str](), "music": list[str]()}, 0
    for domain, layer_id in steps:
        layer = Layer(published=msgspec.structs.replace(PUBLISHED, domain=domain), published_us=0, verdict=VERDICT)
        stack = stacks[domain]
        event: GenomeEvent
        try:
            if layer_id is None:
                event = roll_back(genome, domain, "tiny", reason="r")
                stack.pop()
            else:
                event = activate(genome, layer_id, layer, reason="r", forced=False)
                stack.append(layer_id)
        except Conflict:
            continue
        genome, changes = evolve_genome(genome, event, at_us=changes), changes + 1
        assert genome.active(domain, "tiny") == (stack[-1] if stack else None)
    assert genome.generation == changes
    assert [genome.active(domain, "tiny") for domain in stacks] == [s[-1] if s else None for s in stacks.values()]


def test_one_domain_has_its_own_layer_on_each_base_model() -> None:
    other = LayerActivated(layer_id="ly-9", domain="cooking", base_model="large", previous_layer_id=None, reason="r")
    genome = evolve_genome(wearing("ly-1"), other, at_us=5)
    assert (genome.active("cooking", "tiny"), genome.active("cooking", "large")) == ("ly-1", "ly-9")
