"""Addresses of databases and servers."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(\w://[^:/@\s]*):\S*@")
_LOGIN = re.compile(r"(\w://)\S*@")


def with_driver(url: str) -> str:
    """`postgresql://` through psycopg 3, the driver that the extra brings."""
    for short in ("postgresql://", "postgres://"):
        if url.startswith(short):
            return "postgresql+psycopg://" + url.removeprefix(short)
    return url


def without_password(text: str) -> str:
    """The text with the passwords of all addresses in it masked."""
    return _PASSWORD.sub(r"\1:***@", text)


def without_login(url: str) -> str:
    """An address as it may be stored: of a server without its login, of a database with the password masked."""
    return _LOGIN.sub(r"\1", url) if url.startswith("http") else without_password(url)


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, without passwords."""
    text = str(error).strip()
    return without_password(text.splitlines()[0])[:200] if text else type(error).__name__
