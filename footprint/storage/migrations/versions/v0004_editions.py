"""Published editions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big, words

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    op.create_table(
        "published_edition",
        words("period"),
        big("version"),
        words("status"),
        words("kind"),
        big("released_us"),
        words("method_version"),
        words("factor_version"),
        words("code_version"),
        words("files"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("period", "version"),
    )
