"""The steps of the pipeline: one package for each, and `common`, what they share.

Nothing here knows where it runs, and nothing here imports `pipeline`. A step uses another's
work only through `common`; the Reporter alone also reads what the others wrote, through
their own readers. import-linter holds these rules in `make lint` (pyproject.toml).
"""
