"""What a job that succeeded still owes: its layer to the Hugging Face Hub, its numbers to Weights & Biases. Pure.

Only of jobs whose worker ran here; a cloud provider does what it can of these by itself. The secrets stay references.
"""

from pathlib import PurePosixPath

from msgspec import Struct

from genomed.entities.configuration import HFIntegration, JobConfiguration, WandBIntegration
from genomed.entities.errand_events import ErrandLayer, ErrandRequested
from genomed.entities.json_value import JsonObject

UPLOAD = "upload"
HUB, WANDB = "huggingface", "wandb"
TOKEN, KEY = "HF_TOKEN", "WANDB_API_KEY"
"""Variables that the upload's process is told its secret in; the libraries' own names."""

METRICS = "metrics"
"""Folder beside a result in which the worker put what it wrote for other tools."""


class Upload(Struct, frozen=True, kw_only=True):
    """One wish. name: of where it goes, short, part of the errand's id."""

    name: str
    requested: ErrandRequested


def uploads(
    configuration: JobConfiguration, *, layer: ErrandLayer, location: str, persona_id: str, job_id: str
) -> list[Upload]:
    """location: of the result in the attempt's folder."""
    integrations = configuration.integrations
    if integrations is None:
        return []
    found = []
    if integrations.huggingface is not None:
        found.append(_to_the_hub(integrations.huggingface, layer, persona_id, job_id))
    if integrations.wandb is not None and integrations.wandb.api_key is not None:
        found.append(_to_wandb(integrations.wandb, integrations.wandb.api_key, location, persona_id, job_id))
    return found


def hub_options(layer_path: str, *, repo: str, private: bool = True, **more: str | None) -> JsonObject:
    """In the words of `training/exits/upload.py`."""
    given = {name: value for name, value in more.items() if value is not None}
    return {"target": HUB, "layer": layer_path, "repo": repo, "private": private, **given}


def _to_the_hub(wish: HFIntegration, layer: ErrandLayer, persona_id: str, job_id: str) -> Upload:
    requested = ErrandRequested(
        kind=UPLOAD,
        layers=(layer,),
        options=hub_options(layer.path, repo=wish.output_repo_name),
        reason=f"{job_id} succeeded, and asked for it",
        persona_id=persona_id,
        network=True,
        environment={TOKEN: wish.api_token},
        keeps=False,
    )
    return Upload(name="hub", requested=requested)


def _to_wandb(wish: WandBIntegration, key: str, location: str, persona_id: str, job_id: str) -> Upload:
    folder = str(PurePosixPath(location).parent / METRICS / WANDB)
    options: JsonObject = {"target": WANDB, "run": folder, "project": wish.project}
    if wish.base_url is not None:
        options["baseUrl"] = wish.base_url
    requested = ErrandRequested(
        kind=UPLOAD,
        layers=(),
        options=options,
        reason=f"{job_id} succeeded, and asked for it",
        persona_id=persona_id,
        reads=(folder,),
        network=True,
        environment={KEY: key},
        keeps=False,
    )
    return Upload(name=WANDB, requested=requested)
