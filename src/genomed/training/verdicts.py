"""The two judgements of a run, of what there was and of what came out, told as `judged` lines.

Knows which model stands for which side. How one is measured is `judge`'s business.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from . import judge, kto, model, raft
from .engine import Model, Tokenizer
from .failures import WorkerFailure
from .judge import Bench, Judgement, Preferred
from .kto import LabelledRow
from .protocol import Progress
from .raft import RaftRow
from .rows import ChatRow, PreferenceRow, stop_ids
from .specification import Specification


class HeldOut(NamedTuple):
    """Rows to judge on; of one kind at a time."""

    chat: Sequence[ChatRow] = ()
    raft: Sequence[RaftRow] = ()
    preferences: Sequence[PreferenceRow] = ()
    labelled: Sequence[LabelledRow] = ()


class Verdicts:
    """Nothing is judged when the job asks for no judgement or holds no rows out."""

    def __init__(
        self,
        spec: Specification,
        progress: Progress,
        *,
        held_out: HeldOut,
        tokenizer: Tokenizer,
        generation_eos: int | list[int] | None,
    ) -> None:
        self._spec, self._progress, self._tokenizer = spec, progress, tokenizer
        self._held_out = held_out
        self._wanted = spec.judge is not None and any(held_out)
        self._stops = stop_ids(tokenizer, generation_eos)
        self._reference: list[Preferred] = []
        self._reference_scores: list[float] = []

    def baseline(self, base: Model, pause: Callable[[], None], *, plain: Callable[[], Model]) -> None:
        """`base`: the model to be trained, untouched afterwards. `plain`: loads the base model if that is another."""
        if self._spec.judge is None or not self._wanted:
            return
        starts_elsewhere = model.source_of(self._spec) != self._spec.base_model
        root = plain() if starts_elsewhere else base
        held_out, bench = self._held_out, self._bench(pause)
        self._reference = judge.preferred(root, held_out.preferences, bench)
        self._reference_scores = kto.scores(root, held_out.labelled, bench)
        layer = self._spec.judge.baseline_layer
        if layer is None:
            self._tell("baseline", root, pause)
        elif model.is_lora(Path(layer)):
            model.layer_config(Path(layer))
            layered = model.attach_layer(root, Path(layer), trainable=False)
            self._tell("baseline", layered, pause)
            model.detach(layered)
        else:
            self._tell("baseline", self._whole(layer, root), pause)

    def candidate(self, trained: Model, pause: Callable[[], None]) -> None:
        if self._wanted:
            self._tell("candidate", trained, pause)

    def _whole(self, layer: str, like: Model) -> Model:
        found = model.load_weights(layer, local_files_only=True, trust_remote_code=False)
        found.to(like.device)
        return found

    def _tell(self, side: str, judged: Model, pause: Callable[[], None]) -> None:
        verdict = self._measured(judged, self._bench(pause))
        self._progress.tell("judged", side=side, **verdict.facts)

    def _measured(self, judged: Model, bench: Bench) -> Judgement:
        held_out, dpo, rated = self._held_out, self._spec.dpo, self._spec.kto
        if held_out.chat:
            return judge.judge_chat(judged, held_out.chat, bench)
        if held_out.raft:
            return raft_judgement(judged, held_out.raft, bench)
        if held_out.preferences and dpo is not None:
            compared = judge.preferred(judged, held_out.preferences, bench)
            return judge.judge_preferences(held_out.preferences, compared, self._reference, beta=dpo.beta)
        if held_out.labelled and rated is not None:
            scores = kto.scores(judged, held_out.labelled, bench)
            return kto.judge_labelled(held_out.labelled, scores, self._reference_scores, beta=rated.beta)
        raise WorkerFailure("invalid_request", "preference rows need dpo settings, and labelled rows kto settings")

    def _bench(self, pause: Callable[[], None]) -> Bench:
        wanted = self._spec.judge
        return Bench(
            tokenizer=self._tokenizer,
            stops=self._stops,
            batch=self._spec.schedule.batch_size,
            max_new_tokens=wanted.max_new_tokens if wanted else 0,
            samples=wanted.samples if wanted else 0,
            pause=pause,
        )


def raft_judgement(judged: Model, held_out: Sequence[RaftRow], bench: Bench) -> Judgement:
    """As conversations, and by how the answers quote what was shown."""
    conversations = [raft.conversation(row) for row in held_out]
    return judge.judge_chat(judged, conversations, bench, measure=lambda answers: raft.quoting(held_out, answers))
