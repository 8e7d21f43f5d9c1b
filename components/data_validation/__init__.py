"""Statistics, schema and anomalies of the examples (TensorFlow Data Validation).

From outside: `config`; for the chain `statistics`, `validator` and `drift`, of which the Reporter
takes the readers of what was found.
"""
