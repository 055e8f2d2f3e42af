"""Training: stages and their identity, the training loop, checkpoints, and the store of shared stages."""
