"""Tokens have services, and what the doors did not take is counted.

Tokens from before may write requests for any service, as they could: `footprint token add` replaces one by a narrower one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Forwards."""
    op.add_column("token", sa.Column("services", sa.String(), nullable=False, server_default='["*"]'))
    op.create_table(
        "refusal",
        sa.Column("source", sa.String(), primary_key=True),
        sa.Column("reason", sa.String(), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
    )
