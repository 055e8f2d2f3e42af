"""Training loops of others as objectives: Hugging Face's Trainer, Lightning, and the mixer in a PyTorch DataLoader."""
