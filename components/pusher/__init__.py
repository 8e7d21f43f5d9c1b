"""Pusher: versions of the model where a server looks for them, rolled out and back.

From outside: `config`; `component`, for the chain; `places`, `rollout`, `version_store` and
`server_files`, for `segline serving` and for what asks which version is served.
"""
