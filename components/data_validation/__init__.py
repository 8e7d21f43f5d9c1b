"""Statistics, schema and anomalies of the examples (TensorFlow Data Validation)."""
