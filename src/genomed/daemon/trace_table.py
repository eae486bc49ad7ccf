"""The trace sources of the configuration, and the kinds that there are. Opens what is asked for; reads nothing."""

from collections.abc import Mapping

from genomed.adapters import traces
from genomed.entities.errors import NotFound
from genomed.entities.ports import Secrets
from genomed.entities.trace import TraceKind, TraceSettings, TraceSource


class TraceTable:
    """Fulfils entities.trace.TraceShelf. What is installed later needs a restart."""

    def __init__(self, settings: Mapping[str, TraceSettings], secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._kinds = traces.kinds()

    def kinds(self) -> tuple[TraceKind, ...]:
        return self._kinds

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._settings))

    def settings(self, name: str) -> TraceSettings:
        if name not in self._settings:
            there = ", ".join(self.names()) or "none"
            raise NotFound(
                f"there is no trace source {name!r}; there are: {there}",
                field="source",
                remedy=f"add a section [traces.{name}] to the daemon's configuration, or give kind and path of a file",
            )
        return self._settings[name]

    def open(self, settings: TraceSettings) -> TraceSource:
        return traces.opened(settings, self._secrets)
