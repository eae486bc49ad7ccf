"""Small values that events, providers and commands all carry."""

from msgspec import Struct

from genomed.entities.configuration import Scalar
from genomed.entities.types import RowKind


class EffectiveField(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one setting. asked: null when the caller gave none; sent: what the trainer or API got.

    disposition: `sent` as asked, `defaulted` where nothing was asked, `adjusted` with the reason in note,
    `not_applicable` where the method or provider has no such thing and the caller did not ask for it, `refused` with
    the reason in note (in what job-validate tells; a job that exists has none).
    """

    field: str
    asked: Scalar | tuple[str, ...] = None
    sent: Scalar | tuple[str, ...] = None
    disposition: str = "sent"
    note: str | None = None


class Progress(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a run is. A number nobody measured is null, never a default."""

    step: int
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1, or null while the total is unknown."""
        if not self.total_steps:
            return None
        return min(1.0, self.step / self.total_steps)


class JudgedSample(Struct, frozen=True, kw_only=True, rename="camel"):
    """One held-out row as it was judged. Holds text: it goes to the layer's files, never into the log."""

    id: str
    prompt: str
    expected: str
    answer: str
    exact: bool


class Judgement(Struct, frozen=True, kw_only=True, rename="camel"):
    """Measured quality of one side on the held-out rows.

    exact_match: share of rows whose greedy answer equals the expected one. loss: mean per answer token.
    reward_accuracy, reward_margin: for preference rows, and by label for labelled ones. metrics: the further measures
    of its kind of rows, by name (`ndcg`, `mrr`, `hitRate`, `cosine`...).
    """

    rows: int
    loss: float | None = None
    exact_match: float | None = None
    reward_accuracy: float | None = None
    reward_margin: float | None = None
    metrics: dict[str, float] = {}


HOSTED = "hosted"
"""The format of what its provider keeps and serves, and nobody can download."""


class Artifact(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a finished run left: where it lies, its files with sha256, and what was measured.

    format: `peft_lora`, `full_model`, `projection`, `hosted` or `simulated`. seconds: of the last attempt's training.
    """

    format: str
    location: str
    files: dict[str, str] = {}
    size_bytes: int | None = None
    train_loss: float | None = None
    tokens_seen: int | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    layers_adapted: int | None = None
    trainable_parameters: int | None = None


class Estimate(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a run is thought to cost. usd, seconds, tokens: null where nobody can say; never a guess dressed as one.

    basis: a sentence saying how the number was made. source: `price_table` (with its date in as_of), `provider`
    (its own quote), `free` or `unknown`.
    """

    usd: float | None
    basis: str
    source: str
    seconds: float | None = None
    tokens: int | None = None
    as_of: str | None = None


class Verdict(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a result replaces what it was compared with, and the numbers that decide it.

    metric: the deciding task metric. lift: candidate minus baseline on it. reasons: sentences, deciding one first.
    """

    adopt: bool
    metric: str
    candidate: Judgement | None
    baseline: Judgement | None
    baseline_layer_id: str | None
    lift: float | None
    loss_change: float | None
    reasons: tuple[str, ...]


class BucketKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bucket is for. domain: the skill or trait; base_model as jobs will name it."""

    persona_id: str
    domain: str
    base_model: str


class DatasetSource(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a dataset's rows came from: `bucket` or `interactions` (up to a log position), `import` (of a file name) or
    `draft` (of several sources, which the draft's events name).
    """

    kind: str
    bucket_id: str | None = None
    through_position: int | None = None
    file_name: str | None = None


class DatasetFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a provider needs to know of a dataset in order to say whether it can train on it.

    features: what some of its rows have beyond roles and texts: `tools` (descriptions, calls, answers of tools),
    `weights` (turns of the assistant that are kept out of the loss, or expressly in it), `names` (of speakers).
    """

    dataset_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    size_bytes: int
    longest_row_bytes: int = 0
    features: tuple[str, ...] = ()
