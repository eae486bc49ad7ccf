"""The rim to huggingface_hub: one folder's worth of files into one repository, by its plain HTTP API.

Knows which answers pass and which do not. What is uploaded, and under which name, is the caller's.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from ..failures import WorkerFailure

PASSING = (408, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed."""
REFUSED = {
    401: ("the token is not accepted", "give a token that may write, as a secret of this daemon"),
    402: ("the account may not do this", "see the account's plan"),
    403: ("the token may not write there", "give a token with the right to write to this repository"),
    404: ("there is no such repository or revision", "check the repository's name"),
    409: ("the repository is in another state than it must be", None),
    413: ("a file is larger than the hub takes", None),
}


class Away(Exception):
    """The hub, or the way to it, fails at this moment. after_s: when it said it may be asked again."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Committed(NamedTuple):
    url: str
    commit: str


class _Commit(Protocol):
    oid: str


class _Api(Protocol):
    def create_repo(self, repo_id: str, **options: object) -> str: ...
    def create_commit(self, repo_id: str, **options: object) -> _Commit: ...


class _Response(Protocol):
    status_code: int
    headers: Mapping[str, str]


class Hub:
    """One repository, one token. The token is in no message: what fails is told by the server's own words."""

    def __init__(self, *, endpoint: str | None, token: str) -> None:
        # The other protocol keeps a cache and opens connections of its own, outside of what is tried here.
        os.environ["HF_HUB_DISABLE_XET"] = "1"
        self._library = import_module("huggingface_hub")
        self._errors = import_module("huggingface_hub.errors")
        self._network = import_module("httpx").HTTPError
        self._api = cast(_Api, self._library.HfApi(endpoint=endpoint, token=token, library_name="genomed"))
        self._token = token

    def create(self, repo: str, *, private: bool) -> str:
        """Its whole name. One that exists is left as it is."""
        try:
            url = self._api.create_repo(repo, private=private, exist_ok=True)
        except (self._errors.HfHubHTTPError, self._network, ValueError) as wrong:
            raise self._meant(wrong) from None
        return str(getattr(url, "repo_id", repo))

    def commit(self, repo: str, files: Mapping[str, Path | bytes], *, revision: str | None, message: str) -> Committed:
        """Files that the repository holds already make no commit: doing it twice changes nothing."""
        add = self._library.CommitOperationAdd
        operations = [
            add(path_in_repo=name, path_or_fileobj=held if isinstance(held, bytes) else str(held))
            for name, held in sorted(files.items())
        ]
        try:
            made = self._api.create_commit(
                repo, operations=operations, commit_message=message, revision=revision, num_threads=2
            )
        except (self._errors.HfHubHTTPError, self._network, ValueError) as wrong:
            raise self._meant(wrong) from None
        return Committed(str(getattr(made, "commit_url", "")), made.oid)

    def _meant(self, wrong: Exception) -> Exception:
        told = str(wrong).replace(self._token, "[token]")
        response = cast("_Response | None", getattr(wrong, "response", None))
        if response is None:
            network = isinstance(wrong, self._network)
            return Away(told) if network else WorkerFailure("invalid_request", f"the hub's library refuses: {told}")
        if response.status_code in PASSING:
            return Away(told, after_s=_seconds(response.headers.get("Retry-After")))
        message, remedy = REFUSED.get(response.status_code, ("the hub refuses", None))
        return WorkerFailure("invalid_request", f"{message}: {told}", remedy=remedy)


def _seconds(given: str | None) -> float | None:
    return float(given) if given is not None and given.strip().isdecimal() else None
