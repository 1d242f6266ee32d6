"""Bars with the span between lowest and highest value, as SVG; readable on light and dark."""
from xml.sax.saxutils import escape

from spread import number

WIDTH, LABEL, VALUE = 760, 250, 80  # px: all of it, names on the left, values on the right
BAR, GAP, TITLE, PAD = 14, 8, 34, 12
COLOURS = {"tallyd": "#2f81f7", "BASE": "#8957e5", "ceiling": "#8b949e", "peer": "#d29922"}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #6e7781 }
.title { font-weight: 600 }
.span { stroke: #6e7781; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } .span { stroke: #c9d1d9 } }
"""


def _bar(top, who, kind, spread, scale):
    middle = top + BAR / 2
    x1, x2 = (LABEL + value * scale for value in (spread.lowest, spread.highest))
    return [
        f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(who)}</text>',
        f'<rect x="{LABEL}" y="{top}" width="{max(spread.median * scale, 1):.1f}" height="{BAR}" '
        f'rx="2" fill="{COLOURS[kind]}"/>',
        f'<line class="span" x1="{x1:.1f}" x2="{x2:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{max(x2, LABEL + spread.median * scale) + 8:.1f}" y="{middle + 4}">'
        f'{number(spread.median)}</text>']


def _panel(top, title, bars):
    scale = (WIDTH - LABEL - VALUE) / max(spread.highest for *_, spread in bars)
    lines = [f'<text class="title" x="{PAD}" y="{top + 20}">{escape(title)}</text>']
    for i, (who, kind, spread) in enumerate(bars):
        lines += _bar(top + TITLE + i * (BAR + GAP), who, kind, spread, scale)
    return lines, top + TITLE + len(bars) * (BAR + GAP) + PAD


def svg(panels):
    """panels: [(title, [(who, kind, Spread)])], each with a scale of its own from 0."""
    lines, top = [], 0
    for title, bars in panels:
        more, top = _panel(top, title, bars)
        lines += more
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" '
        f'height="{top}" role="img">',
        f"<title>{escape('; '.join(title for title, _ in panels))}</title>",
        f"<style>{STYLE}</style>", *lines, "</svg>", ""])
