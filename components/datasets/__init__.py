"""TFDS datasets of our own: drawn animals, and folders of pictures and masks."""
