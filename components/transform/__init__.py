"""Transform: the one graph that prepares pictures for training, evaluation and serving.

From outside: `config`. TFX finds `preprocessing` by its name.
"""
