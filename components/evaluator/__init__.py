"""Evaluator: segmentation metrics in TensorFlow Model Analysis, and the blessing.

From outside: `config`; for the chain `component`, `eval_config` and `baseline`; `verdict` reads
an evaluation back. TFMA finds `metrics` and `object_size` by their names.
"""
