"""The database's administrator, who alone may make roles and drop partitions."""

from pathlib import Path

from sqlalchemy.engine import make_url

POSTGRES_PASSWORD = "postgres_password"  # noqa: S105 - a file's name


def administrator(dsn: str, secrets_dir: Path) -> str:
    """The administrator's URL: one without a password gets the one in the folder, where there is one."""
    url, file = make_url(dsn), secrets_dir / POSTGRES_PASSWORD
    if url.password is None and file.is_file():
        url = url.set(password=file.read_text().strip())
    return url.render_as_string(hide_password=False)
