"""Line charts as SVG, one panel per subject, for light and dark mode: no library draws both in one file."""

import html
import math

# Pairs for light and dark mode, distinguishable with any colour vision.
SERIES = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff8a3d"),
    ("#00805e", "#2fc49c"),
    ("#b0508a", "#e79fcb"),
    ("#8a6d00", "#f0d94a"),
    ("#5b5fc7", "#a5a8ff"),
    ("#59636e", "#aeb6bf"),
    ("#b3261e", "#ff7b72"),
)
LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "faint": "#59636e", "grid": "#d8dee4"}
DARK = {"paper": "#0d1117", "ink": "#e6edf3", "faint": "#9198a1", "grid": "#30363d"}
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 34
WIDTH, HEIGHT = 300, 210
TOTAL = 3 * WIDTH


def draw(title, caption, axis, panels, logarithmic=False):
    """The SVG. `panels` maps a subject to series, and a series to points: place on the axis, value, lowest, highest.

    `axis` is the labels of the places, which stand at equal distances.
    """
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    top = 70 + 20 * math.ceil(len(names) / 3)
    height = top + math.ceil(len(panels) / 3) * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {TOTAL} {height}" width="{TOTAL}" height="{height}">',
        f'<style>{_style()}</style><rect width="{TOTAL}" height="{height}" fill="var(--paper)"/>',
        _text(16, 28, title, "title") + _text(16, 48, caption, "faint"),
    ]
    for number, name in enumerate(names):
        x, y = 16 + number % 3 * WIDTH, 74 + number // 3 * 20
        parts.append(f'<path class="{_colour(number)}" d="M{x} {y - 4}h18"/>{_text(x + 26, y, name)}')
    for number, (subject, series) in enumerate(panels.items()):
        place = number % 3 * WIDTH, top + number // 3 * HEIGHT
        parts.append(f'<g transform="translate{place}">{_panel(subject, axis, series, names, logarithmic)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _colour(number):
    return f"s{number % len(SERIES)}"


def _style():
    def colours(paper, pick):
        pairs = paper | {_colour(number): pair[pick] for number, pair in enumerate(SERIES)}
        return ":root{" + "".join(f"--{name}:{value};" for name, value in pairs.items()) + "}"

    series = (f".{_colour(n)}{{stroke:var(--{_colour(n)});color:var(--{_colour(n)})}}" for n in range(len(SERIES)))
    return (
        f"{colours(LIGHT, 0)}@media(prefers-color-scheme:dark){{{colours(DARK, 1)}}}{''.join(series)}"
        "text{font:12px system-ui,sans-serif;fill:var(--ink)}.title{font-size:16px;font-weight:600}"
        ".subject{font-weight:600}.faint,.number,.label{fill:var(--faint)}.number{text-anchor:end}"
        ".label{text-anchor:middle}path{fill:none;stroke-width:2}circle{fill:currentColor}"
        ".grid{stroke:var(--grid)}.grid,.range{stroke-width:1}"
    )


def _text(x, y, content, kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(content)}</text>'


def _ticks(lowest, highest, logarithmic):
    """Round numbers. The first is 0 or at most the lowest value, the last at least the highest."""
    if logarithmic:
        decades = range(math.floor(math.log10(lowest)), math.floor(math.log10(highest)) + 2)
        return [10.0**decade for decade in decades]
    unit = 10 ** math.floor(math.log10(highest / 4))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor * 4 >= highest * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 0.001) + 1)]


def _panel(subject, axis, series, names, logarithmic):
    extremes = [extreme for points in series.values() for point in points for extreme in point[2:]]
    ticks = _ticks(min(extremes), max(extremes), logarithmic)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    scale = math.log10 if logarithmic else float

    def x(place):
        return LEFT + width / len(axis) * (place + 0.5)

    def y(value):
        return TOP + height * (scale(ticks[-1]) - scale(value)) / (scale(ticks[-1]) - scale(ticks[0]))

    parts = [_text(LEFT, TOP - 12, subject, "subject")]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}h{width}"/>')
        parts.append(_text(LEFT - 8, y(tick) + 4, f"{tick:,.10g}", "number"))
    parts += [_text(x(place), HEIGHT - BOTTOM + 18, label, "label") for place, label in enumerate(axis)]
    for name, points in series.items():
        line = "L".join(f"{x(place):.1f} {y(value):.1f}" for place, value, _, _ in points)
        ranges = "".join(f"M{x(place):.1f} {y(low):.1f}V{y(high):.1f}" for place, _, low, high in points)
        dots = "".join(f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="3"/>' for place, value, _, _ in points)
        drawn = f'<path d="M{line}"/><path class="range" d="{ranges}"/>{dots}'
        parts.append(f'<g class="{_colour(names.index(name))}">{drawn}</g>')
    return "".join(parts)
