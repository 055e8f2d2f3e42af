"""Addresses of databases and servers: parsing, building and masking, with SQLAlchemy's parser.

Every address that is shown, logged or stored is masked here. Passwords, tokens and keys leave this process only for
the server that they belong to.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ratio_hpo.core.errors import ConfigError, printable

if TYPE_CHECKING:
    from sqlalchemy import URL

HIDDEN = "***"

POSTGRESQL, SQLITE = "postgresql", "sqlite"

_DATABASES = {POSTGRESQL, "postgres", "mysql", "mariadb", "oracle", "mssql"}
"""Backends whose user name is not a secret; with others it may be a token."""

_PLAIN_QUERY = {
    "host", "port", "dbname", "user", "sslmode", "sslrootcert", "connect_timeout", "application_name", "mode", "uri",
    "immutable", "timeout", "charset", "options",
}  # fmt: skip
"""Parameters of an address whose values are shown; the value of any other parameter may be a secret."""

_LOGIN = re.compile(r"(\w[\w+.-]*)://(\S*)@")
_PARAMETER = re.compile(r"([?&;][\w.-]*(?:pass|pwd|token|secret|key|cred|sig|auth)[\w.-]*=)[^&;\s]+", re.IGNORECASE)

_secrets: set[str] = set()
"""Secrets of the addresses that this process has read; they may occur in messages of libraries."""


def read_url(text: str) -> URL:
    """Parse an address.

    Raises:
        ConfigError: If it is invalid. The message does not show it, since it may hold a password anywhere.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the message would show parts of the address
        scheme = text.partition("://")[0] if re.match(r"[\w+.-]+://", text) else ""
        raise ConfigError(
            f"{f'{scheme}://…' if scheme else 'the address'}: cannot be read; write scheme://user:password@host:port/"
            "name, with special characters of user and password as %XX (@ is %40, : is %3A, / is %2F)"
        ) from None
    values = [url.password, *(v for k, v in url.query.items() if k not in _PLAIN_QUERY and isinstance(v, str))]
    if url.get_backend_name() not in _DATABASES:
        values.append(url.username)
    secrets = {str(value) for value in values if value}
    _secrets.update(secrets, map(quote, secrets))
    return url


def file_url(path: Path, driver: str = SQLITE, **query: str) -> str:
    """Return the address of a SQLite file; special characters in its name are escaped.

    Examples:
        >>> file_url(Path("/runs/why?a/studies.db"))
        'sqlite:////runs/why%3Fa/studies.db'
    """
    from sqlalchemy import URL

    database = f"file:{quote(str(path))}" if query else str(path)
    return URL.create(driver, database=database, query=query).render_as_string(hide_password=False)


def file_of(text: str) -> Path | None:
    """Return the file of a SQLite address; None for another kind of address.

    Raises:
        ConfigError: If the address is invalid, or a SQLite address does not name a plain file.
    """
    url = read_url(text)
    if url.get_backend_name() != SQLITE:
        return None
    if not url.database or url.database.startswith((":memory:", "file:")) or url.query:
        raise ConfigError(f"{text}: needs a plain file: sqlite:///PATH, or sqlite:////PATH from the root")
    return Path(url.database)


def lasting_url(text: str) -> str:
    """Return the address with an absolute path, so that it is valid in any working folder.

    Examples:
        >>> lasting_url("file:///runs/shared"), lasting_url("postgresql://me@host/runs")
        ('file:///runs/shared', 'postgresql://me@host/runs')

    Raises:
        ConfigError: If the address is invalid.
    """
    if text.startswith("file:"):
        return f"file://{os.path.abspath(text.removeprefix('file:').removeprefix('//'))}"
    if "://" not in text:
        return text
    url = read_url(text) if text.startswith(SQLITE) else None
    if url is None or url.get_backend_name() != SQLITE or not url.database or url.database.startswith((":", "file:")):
        return text
    return url.set(database=os.path.abspath(url.database)).render_as_string(hide_password=False)


def with_driver(text: str) -> str:
    """Return the address with psycopg 3, the driver of the extra, for `postgresql://`.

    Raises:
        ConfigError: If the address is invalid.
    """
    if "://" not in text:
        return text
    url = read_url(text)
    if url.drivername in (POSTGRESQL, "postgres"):
        return url.set(drivername=f"{POSTGRESQL}+psycopg").render_as_string(hide_password=False)
    return text


def place_of(text: str) -> tuple[str, ...]:
    """Return a normalised form of an address, equal for addresses of the same database or server."""
    url = read_url(text)
    backend = url.get_backend_name()
    if backend == SQLITE:
        return (backend, str(Path(url.database or "").resolve()))
    query = {key: str(value) for key, value in url.query.items()}
    host, port = url.host or query.get("host", ""), url.port or query.get("port", "")
    standard = {POSTGRESQL: "5432"}.get(backend, "")
    return (backend, host or "localhost", str(port or standard), url.database or query.get("dbname", ""))


def shown_url(text: str) -> str:
    """Return an address for display and storage, with password, token and secret parameters masked.

    Examples:
        >>> shown_url("postgresql://me:p w@host/runs?password=x")
        'postgresql://me:***@host/runs?password=***'
        >>> shown_url("http://token@host:5000")
        'http://***@host:5000'
    """
    if "://" not in text:
        return printable(without_password(text))
    scheme, _, rest = text.partition("://")
    if scheme in ("http", "https"):
        login, host = _without_user(rest)
        return printable(f"{scheme}://{f'{HIDDEN}@' if login else ''}{host}")
    try:
        url = read_url(text)
    except ConfigError:
        return f"{scheme}://…"
    if url.get_backend_name() in (SQLITE, "file"):
        return printable(text)
    user = url.username if url.get_backend_name() in _DATABASES else url.username and HIDDEN
    password = HIDDEN if url.password is not None and user != HIDDEN else None
    query = {key: value if key in _PLAIN_QUERY else HIDDEN for key, value in url.query.items()}
    rendered = url._replace(username=user, password=password, query=query).render_as_string(hide_password=False)
    return printable(rendered.replace(quote(HIDDEN), HIDDEN))


def _without_user(rest: str) -> tuple[str, str]:
    """Split a web address into login and the rest; a password may hold unescaped / and @."""
    login, at, host = rest.rpartition("@")
    if not at or not any(sign in rest.partition("/")[0] for sign in ":@"):
        login, host = "", rest
    if login:
        _secrets.update(part for part in (login, *login.split(":", 1)[1:]) if part)
    return login, _PARAMETER.sub(rf"\1{HIDDEN}", host)


def without_login(text: str) -> str:
    """Return an address for storage: a server's without the login, a database's with the password masked."""
    if urlsplit(text).scheme not in ("http", "https"):
        return shown_url(text)
    return shown_url(text).replace(f"{HIDDEN}@", "")


def without_password(text: str) -> str:
    """Return a text with the secrets of the addresses in it masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if len(secret) > 2:
            text = text.replace(secret, HIDDEN)
    text = _LOGIN.sub(_masked, text)
    return _PARAMETER.sub(rf"\1{HIDDEN}", text)


def _masked(match: re.Match[str]) -> str:
    """Mask a login within a text: the user of a database is kept, any other login is hidden completely."""
    scheme, login = match.groups()
    backend = scheme.partition("+")[0]
    user, colon, _ = login.partition(":")
    if backend in (SQLITE, "file") or (not colon and ("/" in login or backend in _DATABASES)):
        return match.group(0)
    return f"{scheme}://{user}:{HIDDEN}@" if backend in _DATABASES else f"{scheme}://{HIDDEN}@"


def shown_words(words: str) -> str:
    """Return a text for display and storage, without passwords and control characters."""
    return printable(without_password(words))


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, without passwords and control characters."""
    text = str(error).strip()
    return shown_words(text.splitlines()[0])[:200] if text else type(error).__name__
