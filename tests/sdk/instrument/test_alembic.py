"""Migrations that run in the process are told once each."""

from __future__ import annotations

from pathlib import Path

import alembic.command
import alembic.config

import tocsin
from tocsin.sdk.agent import agent_for
from tocsin.testing import capture_spans

ENV = """
import sqlalchemy
from alembic import context
with sqlalchemy.create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
STEP = '''"""{words}"""
revision = "{revision}"
down_revision = {down}
def upgrade(): pass
def downgrade(): pass
'''


def test_each_step_is_an_event_and_a_step_back_too(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "a1.py").write_text(STEP.format(words="orders", revision="a1", down=None))
    (tmp_path / "versions" / "b2.py").write_text(STEP.format(words="invoices", revision="b2", down="'a1'"))
    config = alembic.config.Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'product.db'}")
    agent_for(tocsin.Settings.load(service="shop"))
    with capture_spans() as captured:
        alembic.command.upgrade(config, "head")
        alembic.command.upgrade(config, "head")
        alembic.command.downgrade(config, "a1")
    assert [record.body for record in captured.records] == [
        "database migrated to a1: orders",
        "database migrated to b2: invoices",
        "database taken back to a1: invoices",
    ]
    assert {record.event for record in captured.records} == {"tocsin.migration"}
    assert captured.records[0].attributes["tocsin.migration.revision"] == "a1"
