"""One page a file: PATH, TITLE and ``content``."""
