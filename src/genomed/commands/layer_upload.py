"""genome/layer-upload: a layer's files to a repository of the Hugging Face Hub, with a card of how it was made."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.errand_requesting import ErrandAsked, ErrandWish, WaitS, local_layers, request_errand
from genomed.entities.configuration import REFERENCE, Name
from genomed.entities.errors import Forbidden
from genomed.entities.types import Role
from genomed.entities.upload_wish import TOKEN, UPLOAD, hub_options

NAME = "genome/layer-upload"
SUMMARY = "Upload a layer to the Hugging Face Hub, with a model card."
ROLE = Role.OPERATE

Repository = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$(?!\n)", max_length=200)]
Url = Annotated[str, Meta(pattern=r"^https?://\S+$(?!\n)", max_length=500)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """repo: `owner/name`; made where there is none, private unless public is true; one that exists keeps what it is.

    apiToken: reference of a secret that jobs may name. revision: a branch. endpoint: a server that speaks the hub's
    API; not given: the hub. baseModel: id of the base model there, for the card. waitS: wait so long for the end.
    """

    layer_id: Name
    repo: Repository
    api_token: Annotated[str, Meta(pattern=REFERENCE)]
    public: bool = False
    revision: Name | None = None
    endpoint: Url | None = None
    base_model: Repository | None = None
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


Result = ErrandAsked


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict for a layer that is gone, Unsupported for one that lies elsewhere, Forbidden."""
    if params.api_token not in context.job_secrets:
        raise Forbidden(
            f"{params.api_token} is not among the secrets that may be sent elsewhere",
            field="apiToken",
            remedy="have the operator add it to allowed in [secrets] of the configuration",
        )
    layers = await local_layers(context, (params.layer_id,))
    options = hub_options(
        layers[0].path,
        repo=params.repo,
        private=not params.public,
        revision=params.revision,
        endpoint=params.endpoint,
        baseModel=params.base_model,
    )
    wish = ErrandWish(
        kind=UPLOAD,
        layers=layers,
        options=options,
        reason=params.reason,
        network=True,
        environment={TOKEN: params.api_token},
        keeps=False,
    )
    return await request_errand(context, wish, wait_s=params.wait_s)
