"""Only what somebody listens to is told; null in place of too many ids."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = (
    """
    create table listener (
      user_id uuid primary key,
      expires_at timestamptz not null
    ) with (fillfactor = 50)
    """,
    "alter table outbox alter ids drop default, alter ids drop not null",
    "alter table feed alter ids drop not null",
    "update outbox set kind = 'changed', ids = null where kind = 'resync'",
    "update feed set kind = 'changed', ids = null where kind = 'resync'",
    "alter table outbox drop constraint outbox_kind",
    """
    alter table outbox add constraint outbox_kind
      check (kind in ('changed', 'progress', 'ended'))
    """,
)

DOWN = (
    "alter table outbox drop constraint outbox_kind",
    "update outbox set kind = 'resync', ids = '{}' where ids is null",
    "update feed set kind = 'resync', ids = '{}' where ids is null",
    """
    alter table outbox add constraint outbox_kind
      check (kind in ('changed', 'progress', 'resync', 'ended'))
    """,
    "alter table outbox alter ids set default '{}', alter ids set not null",
    "alter table feed alter ids set not null",
    "drop table listener",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
