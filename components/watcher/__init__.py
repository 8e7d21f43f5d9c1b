"""`segline watch`: what a served model is asked, against what it was trained on.

From outside: `config`; for the command `observer`, `reference`, `request_log` and `comparison`, and
`table`, which they share; the Reporter takes `comparison` and `table`. No step of the chain.
"""
