"""Exporter: LiteRT and ONNX files of the model, each run and judged before it is pushed.

From outside: `component`, for the chain; `result` reads back what became of each.
"""
