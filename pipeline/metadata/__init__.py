"""The ML Metadata store: opening it, and what it knows of runs, models and their making.

From outside: `store` opens it; ask `history` (runs), `artifacts` and `lineage`, which
`lineage_view` shows; `serving` (what is served, and when a canary is due) and `rollouts`
(who changed that); `watched` (what `segline watch` goes by); `garbage` frees disk; `lease` is a
lock.
"""
