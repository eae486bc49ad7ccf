"""A layer, and the genome that says which layers a persona has active. Pure."""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.configuration import JobConfiguration, LoRAConfiguration
from genomed.entities.deployment_events import (
    LayerCompared,
    LayerWithdrawalRequested,
    LayerWithdrawalTroubled,
    LayerWithdrawn,
)
from genomed.entities.errors import Conflict
from genomed.entities.events import (
    GenomeEvent,
    LayerActivated,
    LayerEvent,
    LayerJudged,
    LayerPublished,
    LayerRolledBack,
)
from genomed.entities.facts import Verdict
from genomed.entities.layer_keeping_events import LayerImported, LayerPruned, LayerPruneRequested


class Withdrawal(Struct, frozen=True, kw_only=True, rename="camel"):
    """Its deletion at the provider. trouble: why that refuses, last time it did. withdrawnUs: null until it is gone."""

    model: str
    reason: str
    requested_us: int
    trouble: str | None = None
    withdrawn_us: int | None = None


class Pruning(Struct, frozen=True, kw_only=True, rename="camel"):
    """Its files go, or are gone. prunedUs, bytesFreed, files: null until they are."""

    reason: str
    requested_us: int
    pruned_us: int | None = None
    bytes_freed: int | None = None
    files: int | None = None


class Layer(Struct, frozen=True, kw_only=True, rename="camel"):
    """compared: the last time its answers were set beside its base model's. withdrawal, pruning: nothing uses it any
    more. imported: no job of ours made it.
    """

    published: LayerPublished
    published_us: int
    verdict: Verdict | None = None
    compared: LayerCompared | None = None
    withdrawal: Withdrawal | None = None
    imported: LayerImported | None = None
    pruning: Pruning | None = None

    @property
    def gone(self) -> bool:
        """Nothing can use it any more."""
        return self.withdrawal is not None or self.pruning is not None


def evolve_layer(layer: Layer | None, event: LayerEvent, *, at_us: int) -> Layer:
    """Raises ValueError when a layer is judged or compared before it was published."""
    if isinstance(event, LayerPublished):
        return layer or Layer(published=event, published_us=at_us)
    if layer is None:
        raise ValueError("a layer's stream opens with layer.published")
    match event:
        case LayerJudged(verdict=verdict):
            return replace(layer, verdict=verdict)
        case LayerCompared():
            return replace(layer, compared=event)
        case LayerWithdrawalRequested() | LayerWithdrawalTroubled() | LayerWithdrawn():
            return replace(layer, withdrawal=_withdrawal(layer.withdrawal, event, at_us=at_us))
        case LayerImported():
            return replace(layer, imported=event)
        case LayerPruneRequested() | LayerPruned():
            return replace(layer, pruning=_pruning(layer.pruning, event, at_us=at_us))
        case _:
            assert_never(event)


def _withdrawal(
    before: Withdrawal | None,
    event: LayerWithdrawalRequested | LayerWithdrawalTroubled | LayerWithdrawn,
    *,
    at_us: int,
) -> Withdrawal:
    if isinstance(event, LayerWithdrawalRequested):
        return Withdrawal(model=event.model, reason=event.reason, requested_us=at_us)
    if before is None:
        raise ValueError("a layer is withdrawn after somebody asked for it")
    if isinstance(event, LayerWithdrawalTroubled):
        return replace(before, trouble=event.message)
    return replace(before, trouble=None, withdrawn_us=at_us)


def _pruning(before: Pruning | None, event: LayerPruneRequested | LayerPruned, *, at_us: int) -> Pruning:
    if isinstance(event, LayerPruneRequested):
        return before or Pruning(reason=event.reason, requested_us=at_us)
    if before is None:
        raise ValueError("a layer's files go after somebody asked for it")
    return replace(before, pruned_us=at_us, bytes_freed=event.bytes_freed, files=event.files)


def refuse_withdrawn(layer_id: str, layer: Layer) -> None:
    """Raises Conflict: what its provider deletes, or has deleted, and what was pruned here, nothing can use."""
    if layer.pruning is not None:
        raise Conflict(f"layer {layer_id} was pruned, its files are gone: {layer.pruning.reason}")
    if layer.withdrawal is not None:
        raise Conflict(f"layer {layer_id} was withdrawn from {layer.published.provider}: {layer.withdrawal.reason}")


class Slot(Struct, frozen=True, kw_only=True, rename="camel"):
    """What (domain, base model) of a persona uses. history: layers that were active before, newest last."""

    domain: str
    base_model: str
    layer_id: str | None
    history: tuple[str | None, ...] = ()
    since_us: int


class Genome(Struct, frozen=True, kw_only=True, rename="camel"):
    """The ordered layers a persona has active. generation grows with every change."""

    slots: tuple[Slot, ...] = ()
    generation: int = 0

    def slot(self, domain: str, base_model: str) -> Slot | None:
        return next((s for s in self.slots if (s.domain, s.base_model) == (domain, base_model)), None)

    def active(self, domain: str, base_model: str) -> str | None:
        slot = self.slot(domain, base_model)
        return slot.layer_id if slot else None


def evolve_genome(genome: Genome | None, event: GenomeEvent, *, at_us: int) -> Genome:
    genome = genome or Genome()
    match event:
        case LayerActivated():
            before = genome.slot(event.domain, event.base_model)
            history = (*before.history, before.layer_id) if before else (None,)
            slot = Slot(
                domain=event.domain,
                base_model=event.base_model,
                layer_id=event.layer_id,
                history=history,
                since_us=at_us,
            )
        case LayerRolledBack():
            before = genome.slot(event.domain, event.base_model)
            slot = Slot(
                domain=event.domain,
                base_model=event.base_model,
                layer_id=event.restored_layer_id,
                history=_before_restored(before, event.restored_layer_id) if before else (),
                since_us=at_us,
            )
        case _:
            assert_never(event)
    others = tuple(s for s in genome.slots if (s.domain, s.base_model) != (slot.domain, slot.base_model))
    return Genome(slots=(*others, slot), generation=genome.generation + 1)


def _before_restored(slot: Slot, restored: str | None) -> tuple[str | None, ...]:
    """Without what was restored, and without what had to be passed over to get there."""
    newest = next((n for n in reversed(range(len(slot.history))) if slot.history[n] == restored), -1)
    return slot.history[: max(newest, 0)]


def cannot_continue(layer_of: JobConfiguration, wanted: JobConfiguration) -> str | None:
    """Why training with `wanted` cannot go on from the weights that a job with `layer_of` left; None when it can.

    A LoRA goes on as it is: its rank, alpha and dropout are part of it. A full model goes on as a full model.
    """
    before, after = layer_of.lora, wanted.lora
    if (before is None) != (after is None):
        return f"the active layer was made with method {layer_of.method.type}, this job's is {wanted.method.type}"
    if before is None or after is None:
        return None
    if _shape(before) != _shape(after):
        return f"the active layer has LoRA {_shape(before)}, this job asks for {_shape(after)}"
    return None


def _shape(lora: LoRAConfiguration) -> str:
    return f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}"


def activate(genome: Genome | None, layer_id: str, layer: Layer, *, reason: str, forced: bool) -> LayerActivated:
    """The activation event. Raises Conflict when it is active already, withdrawn, or unproved and not forced."""
    refuse_withdrawn(layer_id, layer)
    facts = layer.published
    current = genome.active(facts.domain, facts.base_model) if genome else None
    if current == layer_id:
        raise Conflict(f"layer {layer_id} is active already")
    if not forced and (layer.verdict is None or not layer.verdict.adopt):
        why = layer.verdict.reasons[0] if layer.verdict else "it was never judged"
        raise Conflict(
            f"layer {layer_id} is not proved better: {why}", remedy="activate it with force to use it anyway"
        )
    return LayerActivated(
        layer_id=layer_id,
        domain=facts.domain,
        base_model=facts.base_model,
        previous_layer_id=current,
        reason=reason,
        forced=forced,
    )


def roll_back(
    genome: Genome | None, domain: str, base_model: str, *, reason: str, withdrawn: frozenset[str] = frozenset()
) -> LayerRolledBack:
    """Back to the layer before that was not withdrawn, or to the base model.

    Raises Conflict when no layer is active there.
    """
    slot = genome.slot(domain, base_model) if genome else None
    if slot is None or slot.layer_id is None:
        raise Conflict(f"no layer is active for domain {domain!r} on {base_model!r}; the base model is in use")
    return LayerRolledBack(
        layer_id=slot.layer_id,
        domain=domain,
        base_model=base_model,
        restored_layer_id=next((layer for layer in reversed(slot.history) if layer not in withdrawn), None),
        reason=reason,
    )
