"""Random, unlikely inputs: each is read, or refused with a one-line message."""
