"""A heat map as inline SVG: a path for each shade, so that thousands of tiles take little room."""

from __future__ import annotations

from loadgen.report.drawing import Chart, Frame, Size
from loadgen.report.heat import SHADES, HeatMap


def heat_svg(found: HeatMap, size: Size) -> str:
    """A drawing of the map."""
    chart = Chart("Latency, second by second", found.description, found.x, found.y, (), found.bands, height=260)
    frame = Frame(chart, size)
    paths = []
    for shade in range(1, SHADES + 1):
        steps = []
        for tile in found.tiles:
            if tile.shade == shade:
                left, right = frame.x(tile.start), frame.x(tile.end)
                bottom, top = frame.y(tile.low), frame.y(tile.high)
                steps.append(f"M{left:.1f} {bottom:.1f}H{right:.1f}V{top:.1f}H{left:.1f}Z")
        paths.append(f'<path class="heat s{shade}" d="{"".join(steps)}"/>')
    return frame.svg(f"heat-{size.name}", paths)
