"""The serving half of the emulated Fireworks: deployments, the layers loaded into them, and answers.

A deployment moves one word on with each GET of it; a loaded layer is deployed once it was listed. Knows no jobs.
"""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from tests.emulators import fireworks_objects as objects
from tests.emulators.emulator import API_KEY, Call, Emulator, Refused, Route
from tests.emulators.fireworks_objects import StoredDeployment

ACCOUNT = "emulated"
HOME = f"/v1/accounts/{ACCOUNT}"
PUBLIC = "accounts/fireworks/models/"
SMALL, ENDLESS, FIXED = f"{PUBLIC}qwen2p5-0p5b-instruct", f"{PUBLIC}endless-8b", f"{PUBLIC}not-tunable"
MOST_PER_PAGE = 200


class FireworksMachines(Emulator):
    """models: what there is to serve. deployed: key -> deployments that were made, that is, billed."""

    provider: ClassVar[str] = "fireworks"
    status_field: ClassVar[str] = "state"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.models: dict[str, dict[str, object]] = objects.base_models(SMALL, ENDLESS, FIXED)
        self.deployments: dict[str, StoredDeployment] = {}
        self.layers: dict[str, dict[str, object]] = {}
        self.deployed: Counter[str] = Counter()
        self.page_size = MOST_PER_PAGE

    def error_body(self, status: int, message: str) -> object:
        codes = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14}
        return {"code": codes.get(status, 13), "message": message, "details": []}

    def serving_routes(self) -> Sequence[Route]:
        one, loaded = f"{HOME}/deployments/{{id:[^/:]+}}", f"{HOME}/deployedModels"
        return (
            Route(operation="deploy", method="POST", path=f"{HOME}/deployments", handler=self._deploy),
            Route(operation="deployment", method="GET", path=one, handler=self._deployment),
            Route(operation="undeploy", method="DELETE", path=one, handler=self._undeploy),
            Route(operation="load", method="POST", path=loaded, handler=self._load),
            Route(operation="list_loaded", method="GET", path=loaded, handler=self._list_loaded),
            Route(operation="unload", method="DELETE", path=f"{loaded}/{{id}}", handler=self._unload),
            Route(operation="chat", method="POST", path="/inference/v1/chat/completions", handler=self._chat),
        )

    def page(self, call: Call, name: str, items: Sequence[object]) -> dict[str, object]:
        first = int(call.asked("pageToken", "0"))
        size = min(self.page_size, int(call.asked("pageSize", "50")))
        token = str(first + size) if first + size < len(items) else ""
        return {name: list(items[first : first + size]), "nextPageToken": token, "totalSize": len(items)}

    async def _deploy(self, call: Call) -> object:
        key, body = call.asked("deploymentId"), call.fields
        if key in self.deployments:
            raise Refused(409, self.error_body(409, f"deployment {key} already exists"))
        shaped = "deploymentShape" in body or call.asked("acceptShapelessRisk") == "true"
        if not shaped or not body.get("enableAddons") or body.get("baseModel") not in {SMALL, ENDLESS}:
            raise Refused(400, self.error_body(400, "a shape, a tunable base model and addons are needed"))
        walk = self.steps(("CREATING", "CREATING", "READY"), working="CREATING")
        self.deployments[key] = StoredDeployment(id=key, body=body, walk=walk)
        self.deployed[key] += 1
        return objects.deployment_out(self.deployments[key], ACCOUNT)

    async def _deployment(self, call: Call) -> object:
        found = self._deployment_of(call)
        found.walk.step()
        return objects.deployment_out(found, ACCOUNT)

    async def _undeploy(self, call: Call) -> object:
        found = self._deployment_of(call)
        name = f"accounts/{ACCOUNT}/deployments/{found.id}"
        used = any(layer["deployment"] == name for layer in self.layers.values())
        if used and call.asked("ignoreChecks") != "true":
            raise Refused(400, self.error_body(400, "the deployment is in use"))
        found.walk.go("DELETING", "DELETED")
        return {}

    async def _load(self, call: Call) -> object:
        model, deployment = str(call.fields["model"]), str(call.fields["deployment"])
        found = self.deployments.get(deployment.rsplit("/", 1)[-1])
        if model not in self.models or found is None or found.walk.word != "READY":
            raise Refused(400, self.error_body(400, "there is no such model, or no such deployment that is ready"))
        if any(layer["model"] == model and layer["deployment"] == deployment for layer in self.layers.values()):
            raise Refused(409, self.error_body(409, "the model is deployed there already"))
        name = f"accounts/{ACCOUNT}/deployedModels/layer-{len(self.layers) + 1:04d}"
        self.layers[name] = {"name": name, "model": model, "deployment": deployment, "state": "DEPLOYING"}
        return self.layers[name]

    async def _list_loaded(self, call: Call) -> object:
        shown = self.listed("list_loaded", list(self.layers.values()), key=lambda layer: str(layer["name"]))
        page = self.page(call, "deployedModels", [dict(layer) for layer in shown])
        for layer in self.layers.values():
            layer["state"] = "DEPLOYED"
        return page

    async def _unload(self, call: Call) -> object:
        if self.layers.pop(f"accounts/{ACCOUNT}/deployedModels/{call.params['id']}", None) is None:
            raise Refused(404, self.error_body(404, "no such deployed model"))
        return {}

    async def _chat(self, call: Call) -> object:
        name = str(call.fields["model"])
        model, _, deployment = name.partition("#")
        there = self.deployments.get(deployment.rsplit("/", 1)[-1])
        known = model in {layer["model"] for layer in self.layers.values()} or model in {SMALL, ENDLESS}
        if there is None or there.walk.word != "READY" or not known:
            raise Refused(404, self.error_body(404, f"model {name} is not deployed"))
        text = "the base model's answer" if model.startswith(PUBLIC) else "the tuned answer"
        return {
            "id": "chat-1",
            "object": "chat.completion",
            "created": int(self.now_s()),
            "model": name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11},
        }

    def _deployment_of(self, call: Call) -> StoredDeployment:
        found = self.deployments.get(call.params["id"])
        if found is None:
            raise Refused(404, self.error_body(404, "no such deployment"))
        return found
