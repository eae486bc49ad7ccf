"""What is done to rows before they are frozen: the rules a person may set, and the record of what each step did."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(gt=0, le=1)]


class CleaningRules(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the steps do; their counts are kept with the dataset. First each row by itself: secrets, personal data,
    empty turns, order of roles, sense, JSON, length. Then rows among each other: equal, nearly equal, too many of one
    recipe or source. Last the split, and what would have stood on both sides.

    exactDuplicates: equal rows are kept once. nearDuplicateSimilarity: Jaccard similarity of word shingles
    from which two rows say the same; null keeps them all (they still stay on one side of the split). maxTokens: longer
    rows go; null: no limit. tokenizer: the base model whose own tokenizer counts; null estimates 4 bytes a token, and
    the step says so. roleOrder: rows whose turns are out of order go. emptyTurns: rows with turns that say nothing go.
    expectJson: answers must be JSON. secrets: what happens to rows with credentials. personalData: what happens to
    people's numbers and addresses. maxSelfGeneratedShare: of rows that a recipe wrote. maxSourceShare: of rows
    from one source, where there are several.
    """

    exact_duplicates: bool = True
    near_duplicate_similarity: Share | None = 0.9
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    tokenizer: str | None = None
    role_order: bool = True
    empty_turns: bool = True
    expect_json: bool = False
    secrets: Literal["drop", "redact", "keep"] = "drop"
    personal_data: Literal["drop", "redact", "keep"] = "keep"
    max_self_generated_share: Share | None = None
    max_source_share: Share | None = None


class CleaningStep(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one step did. removed, changed: rows. note: how it was measured. rows: ids of the first few concerned."""

    step: str
    examined: int
    removed: int
    changed: int = 0
    note: str | None = None
    rows: tuple[str, ...] = ()
