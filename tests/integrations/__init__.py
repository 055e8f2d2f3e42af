"""Tests of the adapters and of their examples."""
