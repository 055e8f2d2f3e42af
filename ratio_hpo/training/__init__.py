"""Stages: identity, one training loop, checkpoints, and the store that lets stages be shared."""
