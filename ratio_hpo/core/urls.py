"""Addresses of databases and servers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


def with_driver(url: str) -> str:
    """`postgresql://` through psycopg 3, the driver that the extra brings."""
    for short in ("postgresql://", "postgres://"):
        if url.startswith(short):
            return "postgresql+psycopg://" + url.removeprefix(short)
    return url


def without_password(url: str) -> str:
    """The address as it may be shown and stored."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def mlflow_uri(root: Path) -> str:
    """The SQLite store of MLflow below the run folder."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"
