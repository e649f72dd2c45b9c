"""Attempts of one id are told apart, and requests of more than a day are read by an index of their own.

Failed rows of before keep their keys; the store remembers that there may be some, so that their logs bring duplicates when they
are imported again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_IS_LONG = sa.text("end_us - start_us > 86400000000")


def upgrade() -> None:
    """Forwards."""
    op.create_table(
        "attempt",
        sa.Column("key", sa.LargeBinary(16), primary_key=True),
        sa.Column("call", sa.LargeBinary(16), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("attempt_call", "attempt", ["call"])
    op.create_index("attempt_service_start", "attempt", ["service_id", "start_us"])
    op.create_index("request_long", "request", ["service_id", "start_us"], sqlite_where=_IS_LONG, postgresql_where=_IS_LONG)
    op.execute("INSERT INTO meta (key, value) SELECT 'earlier_keys', '1' WHERE EXISTS (SELECT 1 FROM request)")
