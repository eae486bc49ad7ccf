"""Secrets for tests: by reference, from a dictionary; fulfils the port and its law of redaction."""

from collections.abc import Mapping

from genomed.entities.errors import MissingCredentials


class PlainSecrets:
    """held may be changed by a test while the adapter lives, as a rotated key would."""

    def __init__(self, held: Mapping[str, str]) -> None:
        self.held = dict(held)
        self._revealed: dict[str, str] = {}

    async def present(self, reference: str) -> bool:
        return reference in self.held

    async def reveal(self, reference: str) -> str:
        if reference not in self.held:
            raise MissingCredentials(f"{reference} is not set", remedy=f"set {reference}")
        self._revealed[self.held[reference]] = reference
        return self.held[reference]

    def redact(self, text: str) -> str:
        for value, reference in self._revealed.items():
            text = text.replace(value, f"[secret {reference}]")
        return text
