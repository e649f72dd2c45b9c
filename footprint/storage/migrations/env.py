"""This file runs migrations within the connection, and the transaction, that the store gives."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
