"""The subcommands of `segline`: each module adds its own to the parser.

For `pipeline.cli` alone: `init`, `data`, `config`, `predict`, `export`, `label`, `lineage`,
`serving`, `watch`, `gc`, `metrics` and `kubeflow`. Nothing heavy is imported before a command is
called.
"""
