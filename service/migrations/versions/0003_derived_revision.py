"""Which revision events were derived up to: a position alone is another revision's where a backup was brought back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("derived", sa.Column("revision", sa.String(length=64), nullable=True))
