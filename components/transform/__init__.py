"""Transform: the one graph that prepares pictures for training, evaluation and serving."""
