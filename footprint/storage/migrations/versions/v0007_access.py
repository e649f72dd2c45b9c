"""The access log."""

from __future__ import annotations

from alembic import op

from footprint.storage.migrations.columns import big, number, words

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    op.create_table(
        "access", number("id"), big("at_us"), words("role"), words("method"), words("path"), words("query"), words("cells")
    )
    op.create_index("access_at", "access", ["at_us"])
