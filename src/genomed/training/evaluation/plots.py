"""Small pictures for a report, as SVG text. Pure; numbers in, drawing out. Colours are the page's own variables."""

from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN = 560, 220, 36
BINS = 40


def _frame(body: str, *, height: int = HEIGHT, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" '
        f'preserveAspectRatio="xMidYMid meet">{body}</svg>'
    )


def _text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def scale(value: float, low: float, high: float, *, start: float, end: float) -> float:
    """`value` of low..high as a place in start..end; the middle where low and high are one."""
    return (start + end) / 2 if high == low else start + (value - low) / (high - low) * (end - start)


def resampled_means(means: Sequence[float], *, low: float, high: float, mean: float) -> str:
    """Where the bootstrap's means lie, the interval shaded, zero and the observed difference marked."""
    left, right = min(0.0, means[0]), max(0.0, means[-1])
    counts = histogram(means, left, right)
    top = max(counts)
    floor, step = HEIGHT - MARGIN, (WIDTH - 2 * MARGIN) / BINS

    def at(value: float) -> float:
        return scale(value, left, right, start=MARGIN, end=WIDTH - MARGIN)

    wide = max(1.0, at(high) - at(low))
    shade = f'<rect class="shade" x="{at(low):.1f}" y="20" width="{wide:.1f}" height="{floor - 20}"/>'
    bars = "".join(
        f'<rect class="bar" x="{MARGIN + nth * step:.1f}" width="{step * 0.9:.1f}" '
        f'y="{floor - count / top * (floor - 30):.1f}" height="{count / top * (floor - 30):.1f}"/>'
        for nth, count in enumerate(counts)
        if count
    )
    zero = f'<line class="zero" x1="{at(0):.1f}" x2="{at(0):.1f}" y1="20" y2="{floor}"/>' + _text(
        at(0), floor + 16, "0"
    )
    seen = f'<line class="seen" x1="{at(mean):.1f}" x2="{at(mean):.1f}" y1="14" y2="{floor}"/>'
    words = _text(at(mean), 12, f"{mean:+.3f}")
    return _frame(shade + bars + zero + seen + words, label="differences of resampled rows")


def histogram(values: Sequence[float], low: float, high: float) -> list[int]:
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(scale(value, low, high, start=0, end=BINS)))] += 1
    return counts


def split(wins: int, ties: int, losses: int) -> str:
    """One bar in three parts."""
    total, left, parts = max(1, wins + ties + losses), float(MARGIN), ""
    for count, kind in ((wins, "win"), (ties, "tie"), (losses, "loss")):
        width = count / total * (WIDTH - 2 * MARGIN)
        parts += f'<rect class="{kind}" x="{left:.1f}" y="10" width="{width:.1f}" height="34"/>'
        if width > 26:
            parts += _text(left + width / 2, 32, str(count))
        left += width
    return _frame(parts, height=56, label=f"{wins} better, {ties} alike, {losses} worse")


def beside(candidate: Sequence[float], baseline: Sequence[float]) -> str:
    """Each row as a dot: the baseline's loss across, the candidate's upwards; below the diagonal is better."""
    low, high = min(*candidate, *baseline), max(*candidate, *baseline)
    size = HEIGHT + 100

    def across(value: float) -> float:
        return scale(value, low, high, start=MARGIN, end=WIDTH - MARGIN)

    def upwards(value: float) -> float:
        return scale(value, low, high, start=size - MARGIN, end=16)

    dots = "".join(
        f'<circle cx="{across(theirs):.1f}" cy="{upwards(mine):.1f}" r="3"/>'
        for mine, theirs in zip(candidate, baseline, strict=True)
    )
    diagonal = (
        f'<line class="zero" x1="{across(low):.1f}" y1="{upwards(low):.1f}" '
        f'x2="{across(high):.1f}" y2="{upwards(high):.1f}"/>'
    )
    words = _text(WIDTH / 2, size - 8, f"baseline, {low:.3g} to {high:.3g}") + _text(4, 12, "candidate", anchor="start")
    return _frame(diagonal + dots + words, height=size, label="loss of each row, candidate against baseline")
