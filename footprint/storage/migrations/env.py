"""Alembic environment: runs migrations in the connection and transaction of the store."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
