"""Requests name the host that served them; statistics of services on one host each are replaced by those of services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forwards."""
    for name in ("request", "withdrawnrequest"):
        op.add_column(name, sa.Column("replica_id", sa.BigInteger(), nullable=True))
    op.execute("DELETE FROM statistics WHERE stream_key LIKE '%/step %' AND stream_key LIKE '%*%'")
