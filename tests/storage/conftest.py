"""Storages are tested through studies, so the tests share the fixtures of `tests/study`."""

from tests.study.conftest import open_study, search

__all__ = ["open_study", "search"]
