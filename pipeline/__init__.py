"""The chain of components (`pipeline.py`), and the ways to run it.

From the top floor down, each importing only what stands below it:
`cli`, `commands`, `kubeflow` and the runners that the `tfx` command calls, `running`,
`changes`, `ir`, `pipeline`, `metadata`, `config`. import-linter holds it (pyproject.toml).
"""
