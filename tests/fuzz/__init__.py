"""Inputs that nobody would write: each is read, or refused in one line."""
