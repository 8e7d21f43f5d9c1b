"""What a YAML file may say: PipelineConfig, composed of the steps' own config classes.

Outside, take `loading` (PipelineConfig, load_config) and `reference` (the page about them).
"""
