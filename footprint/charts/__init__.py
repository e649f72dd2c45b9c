"""Charts as SVG: kinds of chart for notebooks and pages, one canvas for editions, one palette for all."""

from footprint.charts.figures import (
    Axis,
    ScatterPoint,
    SvgFigure,
    dumbbell_chart,
    ranked_bars,
    scatter_plot,
    stacked_bars,
    staircase,
)

__all__ = ["Axis", "ScatterPoint", "SvgFigure", "dumbbell_chart", "ranked_bars", "scatter_plot", "stacked_bars", "staircase"]
