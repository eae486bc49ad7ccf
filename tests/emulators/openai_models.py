"""The serving half of the emulated OpenAI: models, and chat with them. Knows no jobs; they add their models here."""

from collections.abc import Sequence

from tests.emulators.emulator import API_KEY, Call, Refused, Route
from tests.emulators.openai_files import OpenAIFiles


class OpenAIModels(OpenAIFiles):
    """models: by name, with the day on which each is shut down."""

    def __init__(self, *, api_key: str = API_KEY) -> None:
        super().__init__(api_key=api_key)
        self.models: dict[str, str | None] = {}

    def model_routes(self) -> Sequence[Route]:
        at = self.prefix
        return (
            Route(operation="list_models", method="GET", path=f"{at}/models", handler=self._list_models),
            Route(operation="models", method="GET", path=f"{at}/models/{{model}}", handler=self._model),
            Route(operation="delete_model", method="DELETE", path=f"{at}/models/{{model}}", handler=self._delete),
            Route(operation="chat", method="POST", path=f"{at}/chat/completions", handler=self._chat),
        )

    async def _model(self, call: Call) -> object:
        name = call.params["model"]
        if name not in self.models:
            raise Refused(404, self.error_body(404, f"The model '{name}' does not exist", "model_not_found"))
        return self._model_out(name)

    def _model_out(self, name: str) -> dict[str, object]:
        shared = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"}
        return {**shared, "shutdown_date": self.models[name]}

    async def _list_models(self, call: Call) -> object:
        return {"object": "list", "data": [self._model_out(name) for name in self.models]}

    async def _delete(self, call: Call) -> object:
        name = call.params["model"]
        if not name.startswith("ft:") or name not in self.models:
            raise Refused(404, self.error_body(404, f"The model '{name}' does not exist", "model_not_found"))
        del self.models[name]
        return {"id": name, "object": "model", "deleted": True}

    async def _chat(self, call: Call) -> object:
        name = str(call.fields["model"])
        if name not in self.models:
            raise Refused(404, self.error_body(404, f"The model '{name}' does not exist", "model_not_found"))
        messages = call.fields["messages"]
        assert isinstance(messages, list)
        answer = {"role": "assistant", "content": f"{name} heard {messages[-1]['content']}", "refusal": None}
        return {
            "id": self._new_id("chatcmpl"),
            "object": "chat.completion",
            "created": int(self.now_s()),
            "model": name,
            "choices": [{"index": 0, "message": answer, "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        }
