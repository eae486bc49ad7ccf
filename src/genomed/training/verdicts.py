"""The two judgements of a run, of what there was and of what came out, told as `judged` lines.

Knows which model stands for which side. How one is measured is `judge`'s business.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from . import judge, model
from .engine import Model, Tokenizer
from .failures import WorkerFailure
from .judge import Bench, Preferred
from .protocol import Progress
from .rows import ChatRow, PreferenceRow, stop_ids
from .specification import Specification


class Verdicts:
    """Nothing is judged when the job asks for no judgement or holds no rows out."""

    def __init__(
        self,
        spec: Specification,
        progress: Progress,
        *,
        chat: Sequence[ChatRow],
        preferences: Sequence[PreferenceRow],
        tokenizer: Tokenizer,
        generation_eos: int | list[int] | None,
    ) -> None:
        self._spec, self._progress, self._tokenizer = spec, progress, tokenizer
        self._chat, self._preferences = chat, preferences
        self._stops = stop_ids(tokenizer, generation_eos)
        self._reference: list[Preferred] = []

    def baseline(self, base: Model, pause: Callable[[], None], *, plain: Callable[[], Model]) -> None:
        """`base`: the model to be trained, untouched afterwards. `plain`: loads the base model if that is another."""
        if self._spec.judge is None or not (self._chat or self._preferences):
            return
        starts_elsewhere = model.source_of(self._spec) != self._spec.base_model
        root = plain() if starts_elsewhere else base
        if self._preferences:
            self._reference = judge.preferred(root, self._preferences, self._bench(pause))
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
        if self._spec.judge is not None and (self._chat or self._preferences):
            self._tell("candidate", trained, pause)

    def _whole(self, layer: str, like: Model) -> Model:
        found = model.load_weights(layer, local_files_only=True, trust_remote_code=False)
        found.to(like.device)
        return found

    def _tell(self, side: str, judged: Model, pause: Callable[[], None]) -> None:
        bench = self._bench(pause)
        if self._chat:
            verdict = judge.judge_chat(judged, self._chat, bench)
        elif self._spec.dpo is not None:
            scores = judge.preferred(judged, self._preferences, bench)
            verdict = judge.judge_preferences(scores, self._reference, beta=self._spec.dpo.beta)
        else:
            raise WorkerFailure("invalid_request", "preference rows need dpo settings")
        self._progress.tell("judged", side=side, **verdict.facts)

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
