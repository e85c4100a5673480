"""Migrations of a made-up newer release: ours and one revision more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from internal.bootstrap.revisions import migrations_folder, this_release

LATER: Final = "9001"


def a_newer_release(
    folder: Path,
    *,
    additive: bool,
    up: str = "create table later (id int)",
    down: str = "drop table later",
) -> Path:
    """Its migrations folder; its new revision is LATER."""
    copy = folder / "migrations"
    shutil.copytree(migrations_folder(), copy)
    (copy / "versions" / f"{LATER}_later.py").write_text(f"""
from alembic import op

revision = "{LATER}"
down_revision = "{this_release().newest}"
branch_labels = None
depends_on = None
ADDITIVE = {additive}


def upgrade():
    op.execute("{up}")


def downgrade():
    op.execute("{down}")
""")
    return copy
