"""What a conversion left out, and why: counted while it goes, told as cleaning steps at the end."""

from genomed.entities.cleaning import CleaningStep

NAMED = 10
"""Ids that a step names of those it left out; the rest is a count."""


class Tally:
    """method: the first word of its steps' names. One tally goes through all pages of a conversion."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._counts: dict[str, int] = {}
        self._named: dict[str, list[str]] = {}
        self._notes: dict[str, str] = {}
        self.examined = 0
        self.made = 0

    def look(self) -> None:
        self.examined += 1

    def leave_out(self, reason: str, note: str, named: str) -> None:
        """reason: one word or two, joined; note: the sentence that explains it. named: the interaction or session."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._notes[reason] = note
        first = self._named.setdefault(reason, [])
        if len(first) < NAMED:
            first.append(named)

    def count(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    def steps(self) -> tuple[CleaningStep, ...]:
        """The opening step tells how many were looked at and how many rows they gave; the others what was left out."""
        note = "1 row was made" if self.made == 1 else f"{self.made} rows were made"
        made = CleaningStep(step=self._method, examined=self.examined, removed=0, changed=self.made, note=note)
        left_out = (
            CleaningStep(
                step=f"{self._method}.{reason}",
                examined=self.examined,
                removed=removed,
                note=self._notes[reason],
                rows=tuple(self._named[reason]),
            )
            for reason, removed in sorted(self._counts.items())
        )
        return (made, *left_out)
