"""The steps of the pipeline, one package per TFX component.

Nothing here knows where it runs, and nothing here imports `pipeline`. A
component package uses another's work only through the shared modules beside
this file: `schema` (names and class table), `pictures` (decoding), `errors`.
"""
