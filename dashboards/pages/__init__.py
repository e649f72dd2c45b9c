"""Pages, one a module: each has a `PATH`, a `TITLE` (catalogue key) and a `content(context)` function."""
