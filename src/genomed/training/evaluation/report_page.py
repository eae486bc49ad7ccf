"""An evaluation as one HTML file that needs nothing else: numbers, pictures, and the rows that came out otherwise.

Holds no words of anybody: rows are named by their ids. Pure.
"""

from collections.abc import Mapping, Sequence
from html import escape

from ..judge import Outcome
from . import plots
from .paired_statistics import Difference
from .sides import Pair

MOST_ROWS = 200
"""Rows that are listed; all are in outcomes.jsonl."""

MOST_DOTS = 2000

STYLE = """
:root { --ink: #1c2024; --paper: #ffffff; --soft: #eceff2; --good: #2f9e6e; --bad: #c94f4f; --main: #3b6fb6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #15181b; --soft: #262b30; --good: #4cc38a; --bad: #e5716f; --main: #7aa7e0; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .3rem .6rem; text-align: left;
  border-bottom: 1px solid var(--soft); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 13px; }
.bar { fill: var(--main); } .shade { fill: var(--soft); } .win { fill: var(--good); } .loss { fill: var(--bad); }
.tie { fill: var(--soft); } .zero { stroke: var(--ink); stroke-dasharray: 4 3; } .seen { stroke: var(--good); }
circle { fill: var(--main); fill-opacity: .5; } .verdict { font-size: 1.3rem; }
"""


def page(report: Mapping[str, object], pair: Pair, found: Difference) -> str:
    title = escape(str(report["title"]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1>{_summary(report, found)}{_sides(report)}{_pictures(pair, found)}"
        f"{_rows(pair)}{_footing(report)}</body></html>\n"
    )


def _summary(report: Mapping[str, object], found: Difference) -> str:
    interval = found.interval
    test = "McNemar\u2019s exact test" if found.test == "mcnemar" else "sign test"
    return (
        f'<p class="verdict">{escape(found.conclusion.capitalize())}: {escape(str(report["metric"]))} '
        f"{interval.mean:+.3f} on {report['rows']} held-out rows</p>"
        f"<p>95 % interval {interval.low:+.3f} to {interval.high:+.3f} (paired bootstrap, {len(interval.means)} "
        f"resamples); p = {found.p:.3g} ({test}).</p>"
    )


def _sides(report: Mapping[str, object]) -> str:
    sides = [_mapping(report[name]) for name in ("candidate", "baseline")]
    names = sorted({name for side in sides for name in _mapping(side["metrics"])})
    head = "".join(f"<th>{escape(str(side['name']))}</th>" for side in sides)
    lines = [("score", [side["score"] for side in sides])]
    lines += [(name, [_mapping(side["metrics"]).get(name) for side in sides]) for name in names]
    lines.append(("seconds", [side["seconds"] for side in sides]))
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{_number(value)}</td>' for value in values)}</tr>"
        for name, values in lines
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _pictures(pair: Pair, found: Difference) -> str:
    interval = found.interval
    drawn = "<h2>Difference</h2>" + plots.resampled_means(
        interval.means, low=interval.low, high=interval.high, mean=interval.mean
    )
    drawn += "<h2>Row by row</h2>" + plots.split(found.wins, found.ties, found.losses)
    both = [
        (mine.loss, theirs.loss)
        for mine, theirs in zip(pair.candidate.judgement.outcomes, pair.baseline.judgement.outcomes, strict=True)
        if mine.loss is not None and theirs.loss is not None
    ][:MOST_DOTS]
    if both:
        drawn += "<h2>Loss of each row</h2>" + plots.beside([mine for mine, _ in both], [theirs for _, theirs in both])
    return drawn


def _rows(pair: Pair) -> str:
    changed: Sequence[tuple[Outcome, Outcome]] = [
        (mine, theirs)
        for mine, theirs in zip(pair.candidate.judgement.outcomes, pair.baseline.judgement.outcomes, strict=True)
        if mine.score != theirs.score
    ]
    if not changed:
        return "<p>No row came out otherwise.</p>"
    shown = sorted(changed, key=lambda both: both[0].score - both[1].score)[:MOST_ROWS]
    body = "".join(
        f"<tr><td>{escape(mine.id)}</td><td>{_number(mine.score)}</td><td>{_number(theirs.score)}</td></tr>"
        for mine, theirs in shown
    )
    more = (
        f"<p>{len(shown)} of {len(changed)}; all rows are in outcomes.jsonl.</p>" if len(shown) < len(changed) else ""
    )
    head = "<tr><th>row</th><th>candidate</th><th>baseline</th></tr>"
    return f"<h2>Rows that came out otherwise, worst first</h2><table>{head}{body}</table>{more}"


def _footing(report: Mapping[str, object]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in _mapping(report["versions"]).items() if version)
    words = f"Base model {report['baseModel']}; {report['precision']} on {report['device']}; {versions}."
    return f"<p><small>{escape(words)}</small></p>"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "\u2013"
