"""The API and the pages over a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi.testclient import TestClient

from dashboards.app import mount
from footprint.access.application import Application
from footprint.api.app import create_api
from footprint.config import Config
from footprint.ledger.ingest import IngestService
from footprint.storage.database import Store


def opened(config: Config) -> Config:
    """A configuration that writes out open mode if it declares no other, so that every local client is administrator."""
    return config if config.access.mode else replace(config, access=replace(config.access, mode="open"))


def api_over(store: Store, config: Config, clock: Callable[[], int], **options: Any) -> Application:
    """The API over a store, open unless the configuration declares another mode."""
    service = IngestService(store, config.services_of_model, config.hosts_of_service)
    return create_api(opened(config), store, service, clock, **options)


def pages_over(store: Store, config: Config, clock: Callable[[], int], **options: Any) -> Any:
    """The API with the pages over a store."""
    return mount(api_over(store, config, clock, **options), store, opened(config), clock)


def local_client(app: Any, **options: Any) -> TestClient:
    """A client of this machine, which names it by its loopback address."""
    return TestClient(app, base_url="http://127.0.0.1", **options)
