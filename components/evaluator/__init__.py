"""Evaluator: segmentation metrics in TensorFlow Model Analysis, and the blessing."""
