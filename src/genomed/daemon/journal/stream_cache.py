"""Versions and folded states of the streams lately written or loaded. Only what is committed is ever in here."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from genomed.entities.journal_port import Loaded

CACHED_STREAMS = 4096


class StreamCache:
    def __init__(self, capacity: int = CACHED_STREAMS) -> None:
        self._capacity = capacity
        self._streams: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, stream: str) -> Loaded | None:
        loaded = self._streams.get(stream)
        if loaded is not None:
            self._streams.move_to_end(stream)
        return loaded

    def put(self, streams: Mapping[str, Loaded]) -> None:
        for stream, loaded in streams.items():
            self._streams[stream] = loaded
            self._streams.move_to_end(stream)
        while len(self._streams) > self._capacity:
            self._streams.popitem(last=False)

    def forget(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._streams.pop(stream, None)

    def clear(self) -> None:
        self._streams.clear()
