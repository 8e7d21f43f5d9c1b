"""`segline watch`: what a served model is asked, against what it was trained on.

From outside: `config`; for the command `observer`, `reference`, `request_log`, `comparison` and
`verdict`; the Reporter takes `comparison`, `reference`, `table` and `verdict`.
No step of the chain.
"""
