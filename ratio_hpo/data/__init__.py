"""Corpora, the embedded world, mixing, task formatting and collation."""
