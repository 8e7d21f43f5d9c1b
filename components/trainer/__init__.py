"""Trainer: the modified U-Net and everything that trains it."""
