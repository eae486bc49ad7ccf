"""The table of faults tried, written from their record: `python -m tests.fault_table RECORD [--write]`.

Prints the table, or with --write puts it between its two marks in docs/reliability.md. Knows only the record.
"""

import argparse
from pathlib import Path

from tests.fault_record import Fault, recorded

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN = "<!-- faults: written by `make crash`, not by hand -->"
END = "<!-- /faults -->"
HEAD = ("kind", "fault", "times", "lost", "outcome")


def summed(faults: list[Fault]) -> list[Fault]:
    """One row per kind, fault and outcome, in the order of kind and fault."""
    rows: dict[tuple[str, str, str], Fault] = {}
    for fault in faults:
        key = (fault.kind, fault.fault, fault.outcome)
        before = rows.get(key)
        times = fault.times + (before.times if before else 0)
        lost = fault.lost + (before.lost if before else 0)
        rows[key] = Fault(kind=fault.kind, fault=fault.fault, outcome=fault.outcome, times=times, lost=lost)
    return [rows[key] for key in sorted(rows)]


def table(faults: list[Fault]) -> str:
    """Markdown. The last row sums what was tried and what was lost."""
    rows = summed(faults)
    lines = [_line(*HEAD), _line(*["---"] * 2, "---:", "---:", "---")]
    lines += [_line(row.kind, row.fault, str(row.times), str(row.lost), row.outcome) for row in rows]
    total = (str(sum(row.times for row in rows)), str(sum(row.lost for row in rows)))
    return "\n".join([*lines, _line("all", "", *total, ""), ""])


def written_into(document: str, text: str) -> str:
    """The document with what stands between the marks replaced. ValueError when it has no marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table: {BEGIN} and {END} must both be there")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("record", type=Path)
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.name}, between its marks")
    chosen = parser.parse_args()
    text = table(recorded(chosen.record))
    if chosen.write:
        DOCUMENT.write_text(written_into(DOCUMENT.read_text(), text))
    print(text)  # the table is what this program is for


if __name__ == "__main__":
    main()
