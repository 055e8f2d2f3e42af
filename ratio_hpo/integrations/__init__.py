"""Integrations with the Hugging Face `Trainer`, Lightning and the PyTorch `DataLoader`."""
