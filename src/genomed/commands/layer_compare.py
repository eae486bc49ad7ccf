"""genome/layer-compare: ask a tuned model and its base the same, and set the answers side by side.

Costs tokens, so that it is for operators. The texts are a blob; the log holds their hash and the numbers.
"""

from collections.abc import Sequence
from typing import Annotated

from anyio import CapacityLimiter, create_task_group
from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, as_text, load_as
from genomed.commands.deployment_view import load_deployment
from genomed.entities.configuration import Name
from genomed.entities.deployment import Deployment
from genomed.entities.deployment_events import LayerCompared
from genomed.entities.envelope import ANY_VERSION, Write, blob_of
from genomed.entities.errors import Conflict, GenomeError, InvalidRequest, NotFound, Problem, Unsupported
from genomed.entities.layer import Layer, refuse_withdrawn
from genomed.entities.ports import Serving
from genomed.entities.presets import Prompt
from genomed.entities.rows import Message
from genomed.entities.types import Role

NAME = "genome/layer-compare"
SUMMARY = "Ask a tuned model and its base model the same prompts."
ROLE = Role.OPERATE

AT_ONCE = 4
"""Questions under way together: enough to be quick, too few to run into a rate limit."""

Text = Annotated[str, Meta(min_length=1, max_length=32_768)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """prompts: the name of a prompt set (see preset-list), or the prompts themselves as a list.

    deploymentId: which deployment to ask; needed only where a layer has several. system: introduces every prompt.
    """

    layer_id: Name
    prompts: Name | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=100)]
    deployment_id: Name | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=32_768)] = 512
    system: Text | None = None


class Side(Struct, frozen=True, kw_only=True, rename="camel"):
    """One answer. text null: error says why there is none. keywords: how many of the prompt's are in it."""

    text: str | None
    error: str | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    keywords: int | None = None


class Compared(Struct, frozen=True, kw_only=True, rename="camel"):
    """keywords: how many the prompt has."""

    prompt: str
    tuned: Side
    base: Side
    keywords: int


class Sum(Struct, frozen=True, kw_only=True, rename="camel"):
    """Over all prompts of one side. seconds: mean of an answer. keywords: share of the prompts' keywords that came up.

    Keywords are counted by their letters: a wording counts, not a truth. Null where there is nothing to count.
    """

    model: str
    answered: int
    failed: int
    seconds: float | None
    completion_tokens: int | None
    keywords: float | None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """answersSha256: the stored texts; layer-show with answers shows the last ones again."""

    layer_id: str
    deployment_id: str | None
    simulated: bool
    tuned: Sum
    base: Sum
    comparisons: tuple[Compared, ...]
    answers_sha256: str


class Asked(Struct, frozen=True, kw_only=True):
    """Whom to ask."""

    serving: Serving
    tuned_model: str
    base_model: str
    deployment_id: str | None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Unsupported where the provider serves nothing, Conflict while nothing is ready to answer.

    When the tuned model gives no answer at all, its first failure is raised.
    """
    layer, _ = await load_as(context, f"layer/{params.layer_id}", Layer, what=f"layer {params.layer_id}")
    refuse_withdrawn(params.layer_id, layer)
    system, prompts, prompt_set = await _prompts(params, context)
    asked = await _whom(params, context, layer)
    before_us = context.now_us()
    rows = await _ask_all(asked, prompts, system=system, max_tokens=params.max_tokens)
    seconds = (context.now_us() - before_us) / 1_000_000
    tuned = _sum(asked.tuned_model, [row.tuned for row in rows], prompts)
    base = _sum(asked.base_model, [row.base for row in rows], prompts)
    told = {"layerId": params.layer_id, "system": system, "tuned": tuned, "base": base, "comparisons": rows}
    blob = blob_of(told)
    event = LayerCompared(
        prompts=len(rows),
        answered=tuned.answered + base.answered,
        answers_sha256=blob.sha256,
        size_bytes=len(blob.body),
        tuned_model=asked.tuned_model,
        base_model=asked.base_model,
        seconds=seconds,
        deployment_id=asked.deployment_id,
        prompt_set=prompt_set,
    )
    result = Result(
        layer_id=params.layer_id,
        deployment_id=asked.deployment_id,
        simulated=layer.published.simulated,
        tuned=tuned,
        base=base,
        comparisons=rows,
        answers_sha256=blob.sha256,
    )
    write = Write(stream=f"layer/{params.layer_id}", expected=ANY_VERSION, events=(event,))
    return Decided(result=result, writes=(write,), blobs=(blob,))


async def _prompts(params: Params, context: Context) -> tuple[str | None, tuple[Prompt, ...], str | None]:
    """The system prompt, the prompts, and the name of their set. Raises NotFound."""
    if not isinstance(params.prompts, str):
        return params.system, tuple(Prompt(text=text) for text in params.prompts), None
    sets = (await context.presets.shelf()).prompts
    chosen = sets.get(params.prompts)
    if chosen is None:
        raise NotFound(
            f"there is no prompt set {params.prompts!r}; there are: {', '.join(sorted(sets)) or 'none'}",
            field="prompts",
            remedy="name one of these, or give the prompts as a list",
        )
    return params.system or chosen.system, chosen.prompts, params.prompts


async def _whom(params: Params, context: Context, layer: Layer) -> Asked:
    facts = layer.published
    provider = context.providers.get(facts.provider)
    if provider.serving is None:
        raise Unsupported(
            f"{facts.provider} serves nothing: its layers are files, and nobody there can be asked",
            field="layerId",
            provider=facts.provider,
        )
    if params.deployment_id is None and not (await provider.capabilities()).features.serving:
        return Asked(
            serving=provider.serving,
            tuned_model=facts.artifact.location,
            base_model=facts.base_model,
            deployment_id=None,
        )
    deployment_id, deployment = await _deployment(params, context)
    if deployment.state != "ready" or deployment.model is None:
        raise Conflict(
            f"deployment {deployment_id} is {deployment.state}: it does not answer",
            field="deploymentId",
            remedy="wait until deployment-list says that it is ready",
        )
    return Asked(
        serving=provider.serving,
        tuned_model=deployment.model,
        base_model=deployment.base_model or facts.base_model,
        deployment_id=deployment_id,
    )


async def _deployment(params: Params, context: Context) -> tuple[str, Deployment]:
    if params.deployment_id is not None:
        deployment, _ = await load_deployment(context, params.deployment_id)
        if deployment.requested.layer_id != params.layer_id:
            problem = Problem(
                field="deploymentId", message=f"serves layer {deployment.requested.layer_id}, not this one"
            )
            raise InvalidRequest.of([problem])
        return params.deployment_id, deployment
    rows = await context.log.query(
        "SELECT deployment_id FROM deployments WHERE layer_id = ? AND state NOT IN ('ended', 'failed')",
        (params.layer_id,),
    )
    if not rows:
        raise Conflict(
            f"layer {params.layer_id} is not deployed",
            field="deploymentId",
            remedy="deploy it with genome/layer-deploy, which costs money by the hour",
        )
    deployment_id = as_text(rows[0][0])
    return deployment_id, (await load_deployment(context, deployment_id))[0]


async def _ask_all(
    asked: Asked, prompts: Sequence[Prompt], *, system: str | None, max_tokens: int
) -> tuple[Compared, ...]:
    """Both models, every prompt, a few at a time. Raises the tuned model's first failure when it never answered."""
    limit = CapacityLimiter(AT_ONCE)
    sides: dict[tuple[str, int], Side] = {}
    failures: dict[int, GenomeError] = {}

    async def ask(which: str, model: str, n: int) -> None:
        async with limit:
            try:
                sides[which, n] = await _answer(asked.serving, model, prompts[n], system, max_tokens)
            except GenomeError as error:
                sides[which, n] = Side(text=None, error=error.message)
                if which == "tuned":
                    failures[n] = error

    async with create_task_group() as tasks:
        for n in range(len(prompts)):
            tasks.start_soon(ask, "tuned", asked.tuned_model, n)
            tasks.start_soon(ask, "base", asked.base_model, n)
    if len(failures) == len(prompts):
        raise failures[0]
    return tuple(
        Compared(prompt=one.text, tuned=sides["tuned", n], base=sides["base", n], keywords=len(one.keywords))
        for n, one in enumerate(prompts)
    )


async def _answer(serving: Serving, model: str, prompt: Prompt, system: str | None, max_tokens: int) -> Side:
    opening = () if system is None else (Message(role="system", content=system),)
    said = await serving.answer(model, (*opening, Message(role="user", content=prompt.text)), max_tokens=max_tokens)
    text = said.text.casefold()
    return Side(
        text=said.text,
        seconds=said.seconds,
        prompt_tokens=said.prompt_tokens,
        completion_tokens=said.completion_tokens,
        keywords=sum(word.casefold() in text for word in prompt.keywords) if prompt.keywords else None,
    )


def _sum(model: str, sides: Sequence[Side], prompts: Sequence[Prompt]) -> Sum:
    answered = [side for side in sides if side.text is not None]
    times = [side.seconds for side in answered if side.seconds is not None]
    tokens = [side.completion_tokens for side in answered if side.completion_tokens is not None]
    wanted = sum(len(prompt.keywords) for prompt, side in zip(prompts, sides, strict=True) if side.text is not None)
    found = sum(side.keywords or 0 for side in answered)
    return Sum(
        model=model,
        answered=len(answered),
        failed=len(sides) - len(answered),
        seconds=sum(times) / len(times) if times else None,
        completion_tokens=sum(tokens) if tokens else None,
        keywords=found / wanted if wanted else None,
    )
