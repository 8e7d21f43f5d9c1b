"""What a YAML file may say: PipelineConfig, composed of the steps' own config classes.

From outside: `loading` (PipelineConfig, load_config), `reference` (the page about them),
`kubeflow` for who writes the package, and `beam` for who takes Beam's options elsewhere.
"""
