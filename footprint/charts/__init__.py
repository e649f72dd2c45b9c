"""Charts: one SVG canvas and one palette for pages, editions and notebooks."""
