"""When the write-ahead log is long enough to be checkpointed. Pure arithmetic."""


class WalGauge:
    """Guesses the WAL's length in pages, and learns from each checkpoint how good the guess was.

    SQLite tells the length only by checkpointing, and the file's size does not shrink when the WAL starts anew.
    """

    def __init__(self) -> None:
        self._weight = 0.0
        self._pages_per_weight = 1.0

    def wrote(self, *, rows: int, size_bytes: int) -> None:
        self._weight += 6 + rows / 8 + size_bytes / 2048

    def pages(self) -> float:
        return self._weight * self._pages_per_weight

    def checkpointed(self, pages: int) -> None:
        if self._weight and pages > 0:
            self._pages_per_weight = min(20.0, max(0.05, pages / self._weight))
        self._weight = 0.0
