"""The soak's memory over time, as a small SVG."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.processes import Usage

WIDTH, HEIGHT, LEFT, TOP = 640, 240, 50, 20
# Told apart by dashes too: readable without colour.
_STYLES = {"daemon": ("#1b6ca8", ""), "watch": ("#b85c00", "6 3"), "recorders": ("#3a7d44", "2 3")}


def chart(points: Sequence[tuple[float, dict[str, Usage]]]) -> str:
    """PSS in MB of daemon and watch, and of all recorders by their number, over minutes."""
    lines = {
        part: [
            (at, used[part].pss_mb / (used[part].count if part == "recorders" else 1))
            for at, used in points
            if used[part].count
        ]
        for part in _STYLES
    }
    end = max((at for at, _ in points), default=1.0)
    most = max((value for line in lines.values() for _, value in line), default=1.0) * 1.1
    across, down = WIDTH - LEFT - 20, HEIGHT - TOP - 40

    def place(at: float, value: float) -> str:
        return f"{LEFT + across * at / end:.1f},{TOP + down * (1 - value / most):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for value in (0, most / 2, most):
        y = TOP + down * (1 - value / most)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + across}" y2="{y:.1f}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for minute in (0.0, end / 2, end):
        x = LEFT + across * minute / end
        parts.append(f'<text x="{x:.1f}" y="{TOP + down + 15}" text-anchor="middle">{minute:.0f} min</text>')
    for index, (part, (colour, dash)) in enumerate(_STYLES.items()):
        path = " ".join(place(*one) for one in lines[part])
        style = f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" {style}/>')
        x, y, each = LEFT + 150 * index, HEIGHT - 8, " (each)" if part == "recorders" else ""
        parts.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 24}" y2="{y - 4}" {style}/>')
        parts.append(f'<text x="{x + 30}" y="{y}">{part}{each}, PSS in MB</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
