"""InfraValidator: can the exported model be served? Asked before it is pushed.

From outside: `config`; for the chain `component` and `serving_check`; `result` reads back how the
check went.
"""
