"""Tests of the output shown while a search runs."""
