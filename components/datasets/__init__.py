"""TFDS builders of our own. Importing this package registers them with TFDS."""

from components.datasets.synthetic_pets import SyntheticPets

__all__ = ["SyntheticPets"]
