"""Pusher: versions of the model where a server looks for them, rolled out and back.

From outside: `config`; `component`, for the chain; `places`, `rollout`, `version_store`,
`server_files`, `batching` and `warmup`, for `segline serving` and for what asks which version is
served.
"""
