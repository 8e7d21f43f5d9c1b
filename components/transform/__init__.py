"""Transform: the one graph that prepares pictures for training, evaluation and serving.

TFX finds `preprocessing` by its name; the settings are `components.common.picture_fit`'s.
"""
