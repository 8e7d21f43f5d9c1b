"""What a YAML file may say: PipelineConfig, composed of the steps' own config classes.

From outside: `loading` (PipelineConfig, load_config), `reference` (the page about them), `inputs`
(the files that one names), `kubeflow` for who writes the package, `metadata` for who opens the
store, `beam` for who starts an engine, and `notify` for who tells of a run.
"""
