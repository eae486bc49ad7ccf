"""The providers this daemon offers: made when first asked for, one of each."""

from collections.abc import Callable, Mapping
from pathlib import Path

from genomed import adapters
from genomed.entities.errors import NotFound
from genomed.entities.ports import Provider, ProviderContext, Secrets


class ProviderTable:
    """Fulfils commands.context.Providers. allowed: the names that the operator allows now; None: all."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, dict[str, object]],
        allowed: Callable[[], tuple[str, ...] | None],
        now_us: Callable[[], int],
        secrets: Secrets,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings
        # Read from the disk once, not at every poll of every job: what was installed later needs a restart.
        self._installed = adapters.provider_names()
        self._allowed = allowed
        self._now_us = now_us
        self._secrets = secrets
        self._made: dict[str, Provider] = {}

    def names(self) -> tuple[str, ...]:
        allowed = self._allowed()
        return tuple(name for name in self._installed if allowed is None or name in allowed)

    def complaints(self) -> tuple[str, ...]:
        return adapters.complaints()

    def get(self, name: str) -> Provider:
        if name not in self.names():
            raise NotFound(
                f"there is no provider {name!r}; there are: {', '.join(self.names())}",
                field="provider",
                remedy="list them with genome/provider-list",
            )
        if name not in self._made:
            context = ProviderContext(
                jobs_dir=str(self._data_dir / "jobs"),
                layers_dir=str(self._data_dir / "layers"),
                settings=dict(self._settings.get(name, {})),
                now_us=self._now_us,
                secrets=self._secrets,
            )
            self._made[name] = adapters.load(name, context)
        return self._made[name]

    async def close(self) -> None:
        """Give every provider's connections back; those made so far are made anew when asked for."""
        made, self._made = self._made, {}
        for one in made.values():
            await one.close()
