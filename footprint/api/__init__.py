"""HTTP API (docs/reference/contract.md, section 7).

``app`` assembles the application, and each other module holds some of its routes.
"""

from footprint.api.app import create_api

__all__ = ["create_api"]
