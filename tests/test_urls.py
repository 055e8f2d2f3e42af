"""Addresses: a file is found whatever the name of its folder, and no secret is shown or stored."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sql

from ratio_hpo.core.errors import ConfigError, RatioHpoError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import (
    file_of,
    file_url,
    place_of,
    reason_of,
    shown_url,
    with_driver,
    without_login,
    without_password,
)
from ratio_hpo.experiment.places import check_storages, remember_storage
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.tracking.mlflow_store import make_store

NAMES = [
    "why?a",
    "why?b",
    "feature%2Fmix",
    "100%",
    "h#x",
    "with blank",
    "br{ace}",
    "{}",
    "a&b=c",
    "q'uote",
    "@:x",
    "ü+;",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_folder_name_holds_its_own_database(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    storage = open_storage(default_url(root))
    assert storage.get_all_studies() == []
    assert RunFolder(root).studies.is_file()
    assert file_of(default_url(root)) == RunFolder(root).studies
    open_storage(default_url(root), create=False, only_read=True)
    read_only = sql.create_engine(file_url(RunFolder(root).studies.resolve(), mode="ro", immutable="1", uri="true"))
    with read_only.connect() as connection:
        assert connection.execute(sql.text("SELECT count(*) FROM studies")).scalar() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", ["why?a", "feature%2Fmix", "h#x"])
def test_runs_are_kept_in_it_too(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / name)
    make_store(folder.runs.resolve())
    assert folder.runs.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_two_roots_share_nothing(tmp_path: Path) -> None:
    assert place_of(default_url(tmp_path / "why?a")) != place_of(default_url(tmp_path / "why?b"))


SECRETS = [
    "postgresql://me:SECRET@host:1/db",
    "postgresql://me:SECRET WORD@host/db",
    "postgresql://user@corp:SECRET@host/db",
    "postgresql://host/db?password=SECRET",
    "postgresql+psycopg://host/db?sslpassword=SECRET&sslmode=require",
    "postgresql://me:SECRET@h1:1,h2:2/db",
    "postgresql://me:SECRET@host:port/db",
    "mysql://me:SE/CRET@host/db",
    "http://SECRET@host:5000",
    "https://me:SECRET@host/path",
    "https://host/path?access_token=SECRET",
    "https://host/path?sig=SECRET",
    "s3://key:SECRET@bucket/prefix",
    "abfs://SECRET@account/x",
]


@pytest.mark.parametrize("address", SECRETS)
def test_no_secret_of_an_address_is_shown_or_stored(address: str) -> None:
    for text in (shown_url(address), without_login(address)):
        assert "SECRET" not in text
        assert "CRET" not in text
        assert "WORD" not in text
        assert text.startswith(address.partition("://")[0])


@pytest.mark.parametrize("address", [each for each in SECRETS if "WORD" not in each])
def test_nor_in_anybodys_words(address: str) -> None:
    words = without_password(f"cannot reach {address}: no answer")
    assert "CRET" not in words
    assert words.startswith("cannot reach ")
    assert words.endswith("no answer")
    assert "CRET" not in reason_of(ConnectionError(f"API request to {address}/api failed\nmore"))


def test_a_secret_that_was_read_is_known_in_other_words_too() -> None:
    shown_url("postgresql://me:a secret of blanks@host/db")
    assert without_password("login 'a secret of blanks' failed") == "login '***' failed"
    assert without_password("login a%20secret%20of%20blanks failed") == "login *** failed"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        ("http://host:5000/path", "http://host:5000/path"),
        ("sqlite:////tmp/a@b/c.db", "sqlite:////tmp/a@b/c.db"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("file:///shared/a b", "file:///shared/a b"),
    ],
)
def test_what_is_no_secret_is_shown(address: str, shown: str) -> None:
    assert shown_url(address) == shown


@pytest.mark.parametrize(
    "address", ["postgresql://me:p@ss:w@h/db", "postgresql://h:port/db", "no address", "sqlite://"]
)
def test_what_is_no_address_is_refused_without_being_shown(address: str, tmp_path: Path) -> None:
    with pytest.raises(RatioHpoError) as told:
        open_storage(address)
    assert told.value.exit_code == 2
    assert "p@ss" not in str(told.value)
    assert "w@h" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x.db?uri=true", "sqlite:///x.db?a=b"]
)
def test_studies_need_a_plain_file(address: str) -> None:
    with pytest.raises(ConfigError, match="needs a plain file"):
        file_of(address)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://me:a@host/db", "postgresql+psycopg://you:b@host:5432/db"),
        ("sqlite:////tmp/x/../a.db", "sqlite+pysqlite:////tmp/a.db"),
        ("postgresql://me@/db?host=/tmp/x", "postgresql+psycopg2://me@/db?host=/tmp/x"),
    ],
)
def test_one_place_in_two_spellings(one: str, other: str) -> None:
    assert place_of(one) == place_of(other)


def test_the_driver_is_named_and_the_password_stays() -> None:
    assert with_driver("postgresql://me:p%40ss@host/db") == "postgresql+psycopg://me:p%40ss@host/db"
    assert with_driver("http://host:5000") == "http://host:5000"


def test_known_storages_are_for_their_owner_alone_and_may_hold_blanks(tmp_path: Path) -> None:
    folder, url = RunFolder(tmp_path), "postgresql://me:SEC RET@host/d b"
    remember_storage(folder, url)
    remember_storage(folder, url)
    assert folder.storages.read_text() == "postgresql+psycopg://me:***@host/d b\n"
    assert stat.S_IMODE(folder.storages.stat().st_mode) == 0o600
    check_storages(folder, [url])
    with pytest.raises(ConfigError, match="also holds weights"):
        check_storages(folder, [None])


def test_addresses_are_no_cost_of_a_bare_command() -> None:
    code = "import ratio_hpo.core.urls, sys; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
