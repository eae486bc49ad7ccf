"""What is wrong with the published documents, and what they lack: one line each, with its reason.

A patch says what stood there; where something else stands now the document has changed, and loading it fails until
somebody has looked. An addition fails once the document has caught up.
"""

from collections.abc import Sequence
from typing import cast

from msgspec import Struct
from tests.emulators.schema_closing import Node, node, stepped, steps


class Patch(Struct, frozen=True, kw_only=True):
    """At this JSON pointer stands `was`; `now` is put in its place."""

    at: str
    was: object
    now: object
    why: str

    def apply(self, document: Node) -> None:
        holder, last = _holder(document, self.at)
        try:
            found = stepped(holder, last)
        except LookupError:
            raise AssertionError(f"patch {self.at}: nothing is there any more; look at the new document") from None
        assert found == self.was, f"patch {self.at}: {found!r} is there, not {self.was!r}; look at the new document"
        _put(holder, last, self.now)


class Addition(Struct, frozen=True, kw_only=True):
    """At this JSON pointer stands nothing; `now` is put there."""

    at: str
    now: object
    why: str

    def apply(self, document: Node) -> None:
        holder, last = _holder(document, self.at)
        assert last not in node(holder), f"addition {self.at}: the document has it now; drop the addition"
        node(holder)[last] = self.now


def _holder(document: Node, pointer: str) -> tuple[object, str]:
    *way, last = steps(pointer)
    holder: object = document
    for step in way:
        try:
            holder = stepped(holder, step)
        except (LookupError, ValueError):
            raise AssertionError(f"correction {pointer}: {step!r} is not there any more") from None
    return holder, last


def _put(holder: object, last: str, value: object) -> None:
    if isinstance(holder, list):
        cast(list[object], holder)[int(last)] = value
    else:
        node(holder)[last] = value


BOOLEAN_EXCLUSIVE = "a 3.0 boolean in a 3.1 document"
NULLABLE = "a 3.0 keyword in a 3.1 document"
SCHEMAS = "/components/schemas"


def _exclusive(at: str, bound: float) -> Patch:
    return Patch(at=f"{SCHEMAS}/{at}/oneOf/1/exclusiveMinimum", was=True, now=bound, why=BOOLEAN_EXCLUSIVE)


def _nullable(at: str, kind: str) -> Patch:
    return Patch(at=f"{at}/type", was=kind, now=[kind, "null"], why=NULLABLE)


OPENAI_CREATE = f"{SCHEMAS}/CreateFineTuningJobRequest/properties"
OPENAI_WANDB = f"{OPENAI_CREATE}/integrations/items/properties/wandb/properties"
OPENAI_STATUS = ["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
TOGETHER_CREATE = "/paths/~1fine-tunes/post/requestBody/content/application~1json/schema"
TOGETHER_JOBS = f"{TOGETHER_CREATE}/properties"
TOGETHER_STATUS = [
    "pending", "queued", "running", "compressing", "uploading", "cancel_requested", "cancelled", "error", "completed",
]  # fmt: skip
TOGETHER_METRICS_ID: dict[str, object] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "description": "Fine-tune job ID. A string that starts with `ft-`."},
}
TOGETHER_QUOTE = "/paths/~1fine-tunes~1estimate-price/post/responses/200/content/application~1json/schema/properties"
TOGETHER_PRICE = "/paths/~1fine-tunes~1estimate-price/post/requestBody/content/application~1json/schema/properties"
TOGETHER_TYPES: list[object] = [{"$ref": f"#{SCHEMAS}/FullTrainingType"}, {"$ref": f"#{SCHEMAS}/LoRATrainingType"}]
LINEAR_OR_COSINE: list[object] = [
    {"$ref": f"#{SCHEMAS}/LinearLRSchedulerArgs"},
    {"$ref": f"#{SCHEMAS}/CosineLRSchedulerArgs"},
]

FIREWORKS_STATES = [
    f"JOB_STATE_{word}"
    for word in (
        *("UNSPECIFIED", "CREATING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "DELETING", "WRITING_RESULTS"),
        *("VALIDATING", "DELETING_CLEANING_UP", "PENDING", "EXPIRED", "RE_QUEUEING", "CREATING_INPUT_DATASET", "IDLE"),
        *("CANCELLING", "EARLY_STOPPED", "PAUSED", "DELETED"),
    )
]

PATCHES: dict[str, Sequence[Patch]] = {
    "openai": (
        _exclusive("FineTuningJob/properties/hyperparameters/properties/learning_rate_multiplier", 0),
        _exclusive("FineTuneReinforcementHyperparameters/properties/learning_rate_multiplier", 0),
        _exclusive("FineTuneReinforcementHyperparameters/properties/compute_multiplier", 1e-05),
        _exclusive("FineTuneDPOHyperparameters/properties/beta", 0),
        _exclusive("FineTuneDPOHyperparameters/properties/learning_rate_multiplier", 0),
        _exclusive("FineTuneSupervisedHyperparameters/properties/learning_rate_multiplier", 0),
        _exclusive("CreateFineTuningJobRequest/properties/hyperparameters/properties/learning_rate_multiplier", 0),
        _nullable(f"{OPENAI_CREATE}/suffix", "string"),
        _nullable(f"{OPENAI_CREATE}/validation_file", "string"),
        _nullable(f"{OPENAI_CREATE}/integrations", "array"),
        _nullable(f"{OPENAI_CREATE}/seed", "integer"),
        _nullable(f"{OPENAI_WANDB}/name", "string"),
        _nullable(f"{OPENAI_WANDB}/entity", "string"),
        Patch(
            at=f"{SCHEMAS}/Upload/properties/file",
            was={
                "allOf": [
                    {"$ref": f"#{SCHEMAS}/OpenAIFile"},
                    {"nullable": True, "description": "The ready File object after the Upload is completed."},
                ]
            },
            now={"anyOf": [{"$ref": f"#{SCHEMAS}/OpenAIFile"}, {"type": "null"}]},
            why=NULLABLE,
        ),
        Patch(
            at=f"{SCHEMAS}/FineTuningJob/properties/status/enum",
            was=OPENAI_STATUS,
            now=[*OPENAI_STATUS, "pausing", "paused"],
            why="/pause and /resume exist, and what a paused job says is missing",
        ),
    ),
    "fireworks": (
        Patch(
            at=f"{SCHEMAS}/gatewayJobState/enum",
            was=FIREWORKS_STATES,
            now=[*FIREWORKS_STATES, "JOB_STATE_ARCHIVED"],
            why="documentation 5.10.0 has one more",
        ),
    ),
    "together": (
        Patch(
            at=f"{SCHEMAS}/TrainingMethodSFT/properties/train_on_inputs/type",
            was="boolean",
            now=["boolean", "string"],
            why="stands beside oneOf boolean or auto, and refuses its own default auto",
        ),
        Patch(
            at=f"{TOGETHER_JOBS}/train_on_inputs/type",
            was="boolean",
            now=["boolean", "string"],
            why="the same, in the deprecated place",
        ),
        Patch(
            at=f"{SCHEMAS}/LRScheduler/properties/lr_scheduler_args",
            was={"oneOf": LINEAR_OR_COSINE},
            now={"anyOf": LINEAR_OR_COSINE},
            why="good cosine arguments are good linear ones too, so exactly one never holds",
        ),
        _nullable(f"{TOGETHER_JOBS}/random_seed", "integer"),
        _nullable(f"{TOGETHER_JOBS}/training_type", "object"),
        Patch(
            at=f"{TOGETHER_JOBS}/training_type/anyOf",
            was=TOGETHER_TYPES,
            now=[*TOGETHER_TYPES, {"type": "null"}],
            why=NULLABLE,
        ),
        _nullable(f"{TOGETHER_PRICE}/training_type", "object"),
        Patch(
            at=f"{TOGETHER_PRICE}/training_type/oneOf",
            was=TOGETHER_TYPES,
            now=[*TOGETHER_TYPES, {"type": "null"}],
            why=NULLABLE,
        ),
        _nullable(f"{SCHEMAS}/FinetuneResponseTruncated/properties/random_seed", "integer"),
        _nullable(f"{SCHEMAS}/ErrorData/properties/error/properties/param", "string"),
        _nullable(f"{SCHEMAS}/ErrorData/properties/error/properties/code", "string"),
        Patch(
            at=f"{TOGETHER_CREATE}/required",
            was=["training_file", "model"],
            now=["training_file"],
            why="a job that goes on from another names from_checkpoint instead, never both (SDK 3.1.1)",
        ),
        Patch(
            at=f"{SCHEMAS}/FinetuneJobStatus/enum",
            was=TOGETHER_STATUS,
            now=[*TOGETHER_STATUS, "user_error"],
            why="SDK 3.1.1 knows it as an end",
        ),
        Patch(
            at="/paths/~1fine-tunes~1{id}~1metrics/get/parameters",
            was=[TOGETHER_METRICS_ID],
            now=[
                TOGETHER_METRICS_ID,
                {"name": "global_step_from", "in": "query", "required": False, "schema": {"type": "integer"}},
            ],
            why="SDK 3.1.1 asks by query; a body on a GET is lost by many proxies",
        ),
    ),
    "mistral": (),
}


def _together(at: str, schema: Node) -> Addition:
    return Addition(at=at, now=schema, why="in the SDK 3.1.1, not yet in the published document of April 2026")


TEXT: Node = {"type": "string"}
WHOLE: Node = {"type": "integer"}
YES_OR_NO: Node = {"type": "boolean"}
ANYTHING: Node = {"type": "object"}
FIREWORKS_ACCOUNT = "/v1/accounts/{account_id}"
NEWER_SDK = "fireworks-ai 1.2.28 has it, and the file at 4.259.0 does not"
SUBSET = "outside the subset that the file was cut to; after fireworks-ai 1.2.28"


def _object(**properties: object) -> Node:
    return {"type": "object", "properties": properties}


def _in_path(*names: str) -> list[object]:
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _operation(
    *names: str, body: Node | None = None, answer: Node, query: Node | None = None, kind: str = "application/json"
) -> Node:
    asked = [{"name": name, "in": "query", "schema": schema} for name, schema in (query or {}).items()]
    made: Node = {
        "parameters": [*_in_path(*names), *asked],
        "responses": {"200": {"content": {"application/json": {"schema": answer}}}},
    }
    return made if body is None else {**made, "requestBody": {"content": {kind: {"schema": body}}, "required": True}}


def _key(schema: str, name: str, kind: Node) -> Addition:
    return Addition(at=f"{SCHEMAS}/{schema}/properties/{name}", now=kind, why=NEWER_SDK)


def _path(path: str, now: Node, why: str = SUBSET) -> Addition:
    return Addition(at=f"/paths/{path.replace('~', '~0').replace('/', '~1')}", now=now, why=why)


DEPLOYMENT: Node = _object(
    name=TEXT,
    baseModel=TEXT,
    displayName=TEXT,
    minReplicaCount=WHOLE,
    maxReplicaCount=WHOLE,
    enableAddons=YES_OR_NO,
    acceleratorType=TEXT,
    acceleratorCount=WHOLE,
    deploymentShape=TEXT,
    autoscalingPolicy=_object(scaleToZeroWindow=TEXT, scaleDownWindow=TEXT, scaleUpWindow=TEXT),
    state={"type": "string", "enum": ["CREATING", "READY", "DELETING", "FAILED", "UPDATING", "DELETED"]},
    status={"$ref": f"#{SCHEMAS}/gatewayStatus"},
)
SHARE: Node = {"type": "number", "minimum": 0, "maximum": 1}
FALLING: Node = _object(minLrRatio=SHARE, decayRatio=SHARE)
CHAT_ANSWER: Node = {
    "type": "object",
    "properties": {"id": TEXT, "object": TEXT, "created": WHOLE, "model": TEXT, "choices": {}, "usage": {}},
}

FIREWORKS_EXTRAS: Sequence[Addition] = (
    Addition(
        at=f"{SCHEMAS}/gatewaySupervisedFineTuningJob/properties/lrScheduler",
        now={**_object(constant=ANYTHING, linear=FALLING, cosine=FALLING), "minProperties": 1, "maxProperties": 1},
        why="documentation 5.10.0; neither the file nor the SDK names it yet",
    ),
    *(
        _key(schema, name, kind)
        for schema in ("gatewaySupervisedFineTuningJob", "gatewayDpoJob")
        for name, kind in (
            ("rendererHuggingFaceRepoId", TEXT),
            ("useReservation", YES_OR_NO),
            ("reservationTarget", TEXT),
        )
    ),
    _key("gatewayReinforcementFineTuningJob", "reservationTarget", TEXT),
    _key("gatewaySupervisedFineTuningJob", "samplerCheckpointSaveIntervalSteps", WHOLE),
    _key("gatewayBaseTrainingConfig", "samplerCheckpointSaveIntervalSteps", WHOLE),
    _path(
        f"{FIREWORKS_ACCOUNT}/datasets/{{dataset_id}}:upload",
        {
            "post": _operation(
                "account_id",
                "dataset_id",
                body=_object(file={"type": "string", "format": "binary"}),
                answer=_object(id=TEXT, object=TEXT, bytes=WHOLE, created_at=WHOLE, filename=TEXT, purpose=TEXT),
                kind="multipart/form-data",
            )
        },
    ),
    _path(
        f"{FIREWORKS_ACCOUNT}/deployments",
        {
            "post": _operation(
                "account_id",
                body={**DEPLOYMENT, "required": ["baseModel"]},
                answer=DEPLOYMENT,
                query={"deploymentId": TEXT, "acceptShapelessRisk": YES_OR_NO},
            )
        },
    ),
    _path(
        f"{FIREWORKS_ACCOUNT}/deployments/{{deployment_id}}",
        {
            "get": _operation("account_id", "deployment_id", answer=DEPLOYMENT),
            "delete": _operation("account_id", "deployment_id", answer=ANYTHING, query={"ignoreChecks": YES_OR_NO}),
        },
    ),
    _path(
        "/inference/v1/chat/completions",
        {
            "post": _operation(
                body={
                    **_object(model=TEXT, messages={"type": "array"}, max_tokens=WHOLE, temperature={"type": "number"}),
                    "required": ["model", "messages"],
                },
                answer=CHAT_ANSWER,
            )
        },
    ),
)

# Paths and keys that a newer SDK or documentation has and the published file lacks.
EXTRAS: dict[str, Sequence[Addition]] = {
    "openai": (
        Addition(
            at="/paths/~1chat~1completions",
            now={
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["model", "messages"],
                                    "properties": {
                                        "model": {"type": "string"},
                                        "messages": {"type": "array", "items": {"type": "object"}},
                                        "max_completion_tokens": {"type": "integer"},
                                    },
                                }
                            }
                        }
                    },
                    "responses": {"200": {"description": "OK"}},
                }
            },
            why="the kept part of the document is about fine-tuning; what a tuned model answers comes by chat",
        ),
    ),
    "fireworks": FIREWORKS_EXTRAS,
    "together": (
        Addition(
            at=f"{TOGETHER_CREATE}/anyOf",
            now=[{"required": ["model"]}, {"required": ["from_checkpoint"]}],
            why="one of the two is needed (see the patch of `required`)",
        ),
        *(
            _together(f"{TOGETHER_JOBS}/{name}", {"type": kind})
            for name, kind in {
                "gradient_accumulation_steps": "integer",
                "early_stopping_enabled": "boolean",
                "early_stopping_patience": "integer",
                "early_stopping_min_delta": "number",
                "early_stopping_warmup_evals": "integer",
            }.items()
        ),
        *(
            _together(f"{SCHEMAS}/{schema}/properties/{name}", {"type": kind})
            for schema in ("FinetuneResponse", "FinetuneResponseTruncated")
            for name, kind in {"early_stopped": "boolean", "early_stopping_best_step": "integer"}.items()
        ),
        *(
            _together(f"{SCHEMAS}/FineTuneModelLimits/properties/{name}", {"type": kind})
            for name, kind in {
                "max_num_checkpoints": "integer",
                "max_seq_length_sft": "integer",
                "max_seq_length_dpo": "integer",
                "min_max_seq_length": "integer",
                "supports_full_training": "boolean",
            }.items()
        ),
        _together(f"{TOGETHER_QUOTE}/estimation_available", {"type": "boolean"}),
        _together(f"{TOGETHER_QUOTE}/unavailable_reason", {"type": "string"}),
        _together(f"{SCHEMAS}/FileResponse/properties/processing_status", {"type": "string"}),
        _together(
            f"{SCHEMAS}/FileResponse/properties/validation_report",
            {
                "type": "object",
                "required": ["valid"],
                "properties": {
                    "valid": {"type": "boolean"},
                    "error": {"type": "string"},
                    "error_type": {"type": "string", "enum": ["INVALID_FORMAT"]},
                    "nlines": {"type": "integer"},
                    "dataset_format": {"type": "string"},
                },
            },
        ),
    ),
    "mistral": (),
}


def corrections(provider: str) -> list[Patch | Addition]:
    return [*PATCHES[provider], *EXTRAS[provider]]
