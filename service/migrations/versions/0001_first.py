"""The first tables: the event log, tokens, subscriptions, lanes, deliveries and their attempts, notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for made in (_derived, _event, _notice, _refusal, _subscription, _token, _delivery, _lane, _secret, _attempt):
        made()


def _derived() -> None:
    op.create_table(
        "derived",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("instant", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_derived"),
    )


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("position", WHOLE, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=300), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=True),
        sa.Column("appended_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_event"),
        sa.UniqueConstraint("id", name="uq_event_id"),
    )
    op.create_index("ix_event_occurred_at", "event", ["occurred_at"], unique=False)


def _notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
    )
    op.create_index("ix_notice_owner", "notice", ["owner"], unique=False)


def _refusal() -> None:
    op.create_table(
        "refusal",
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client", "minute", name="pk_refusal"),
    )


def _subscription() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("challenge", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=True),
        sa.Column("streak", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscription"),
    )
    op.create_index("ix_subscription_owner", "subscription", ["owner"], unique=False)
    op.create_index("ix_subscription_state_cursor", "subscription", ["state", "cursor"], unique=False)


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("scopes", sa.String(length=500), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
    )
    op.create_index("ix_token_owner", "token", ["owner"], unique=False)


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("subscription", sa.String(length=40), nullable=False),
        sa.Column("document", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("event", sa.String(length=300), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["subscription"], ["subscription.id"], name="fk_delivery_subscription"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_delivery_subscription_document_state_id",
        "delivery",
        ["subscription", "document", "state", "id"],
        unique=False,
    )
    op.create_index("ix_delivery_subscription_id", "delivery", ["subscription", "id"], unique=False)


def _lane() -> None:
    op.create_table(
        "lane",
        sa.Column("subscription", sa.String(length=40), nullable=False),
        sa.Column("document", sa.String(length=200), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("lease", sa.String(length=40), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["subscription"], ["subscription.id"], name="fk_lane_subscription"),
        sa.PrimaryKeyConstraint("subscription", "document", name="pk_lane"),
    )
    op.create_index("ix_lane_due_at", "lane", ["due_at"], unique=False)


def _secret() -> None:
    op.create_table(
        "secret",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("subscription", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["subscription"], ["subscription.id"], name="fk_secret_subscription"),
        sa.PrimaryKeyConstraint("id", name="pk_secret"),
    )
    op.create_index("ix_secret_subscription", "secret", ["subscription"], unique=False)


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", WHOLE, nullable=False),
        sa.Column("delivery", WHOLE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["delivery"], ["delivery.id"], name="fk_attempt_delivery"),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_delivery", "attempt", ["delivery"], unique=False)
