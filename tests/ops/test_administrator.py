"""The database's administrator: whose password it uses."""

from pathlib import Path

from ops.administrator import POSTGRES_PASSWORD, administrator


def test_an_administrator_without_a_password_gets_the_one_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / POSTGRES_PASSWORD).write_text("p@ss\n")
    found = administrator("postgresql://postgres@postgres:5432/langsense", tmp_path)
    assert found == "postgresql://postgres:p%40ss@postgres:5432/langsense"


def test_a_password_in_the_url_stands(tmp_path: Path) -> None:
    (tmp_path / POSTGRES_PASSWORD).write_text("another")
    dsn = "postgresql://root:given@database/langsense"
    assert administrator(dsn, tmp_path) == dsn


def test_an_administrator_may_need_no_password(tmp_path: Path) -> None:
    dsn = "postgresql://root@database/langsense"
    assert administrator(dsn, tmp_path) == dsn
