"""`langsense migrate`: whose password it uses."""

from pathlib import Path

from ops import development_secrets, migrate


def test_an_administrator_without_a_password_gets_the_one_in_the_folder(tmp_path: Path) -> None:
    development_secrets.write(tmp_path, development_secrets.POSTGRES_PASSWORD, "p@ss\n")
    found = migrate.administrator("postgresql://postgres@postgres:5432/langsense", tmp_path)
    assert found == "postgresql://postgres:p%40ss@postgres:5432/langsense"


def test_a_password_in_the_url_stands(tmp_path: Path) -> None:
    development_secrets.write(tmp_path, development_secrets.POSTGRES_PASSWORD, "another")
    dsn = "postgresql://root:given@database/langsense"
    assert migrate.administrator(dsn, tmp_path) == dsn


def test_an_administrator_may_need_no_password(tmp_path: Path) -> None:
    dsn = "postgresql://root@database/langsense"
    assert migrate.administrator(dsn, tmp_path) == dsn
