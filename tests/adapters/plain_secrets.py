"""Secrets for tests: by reference, from a dictionary; fulfils the port and its law of redaction."""

from collections.abc import Callable, Mapping

from genomed.entities.errors import MissingCredentials


class PlainSecrets:
    """held may be changed by a test while the adapter lives, as a rotated key would.

    on_reveal: called before a secret is told, that is before a request is sent.
    """

    def __init__(self, held: Mapping[str, str]) -> None:
        self.held = dict(held)
        self.on_reveal: Callable[[], None] = lambda: None
        self._revealed: dict[str, str] = {}

    async def present(self, reference: str) -> bool:
        return reference in self.held

    async def reveal(self, reference: str) -> str:
        self.on_reveal()
        if reference not in self.held:
            raise MissingCredentials(f"{reference} is not set", remedy=f"set {reference}")
        self._revealed[self.held[reference]] = reference
        return self.held[reference]

    def redact(self, text: str) -> str:
        for value, reference in self._revealed.items():
            text = text.replace(value, f"[secret {reference}]")
        return text
