"""FastAPI application inside layers of access control, which surround everything that it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

Layer = Callable[[Any], Any]


class Application(FastAPI):
    """FastAPI application whose layers lie around all of its middlewares, those of Dash and of error answers included."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._layers: list[Layer] = []
        # Inline scripts and style sheets of pages that the content security policy allows, by their digests.
        self.page_scripts: tuple[str, ...] = ()
        self.page_styles: tuple[str, ...] = ()

    def surround(self, *layers: Layer) -> None:
        """Add layers inside of those that are there, the outermost first."""
        self._layers += layers

    def build_middleware_stack(self) -> Any:
        """The layers around the application."""
        stack: Any = super().build_middleware_stack()
        for layer in reversed(self._layers):
            stack = layer(stack)
        return stack
