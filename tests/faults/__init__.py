"""Faults, injected: after each the same command goes on, and the study is the one that would have been without it."""
