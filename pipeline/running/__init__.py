"""What watches and tells of a run: terminal, summary, locks, notices, numbers for Prometheus.

From outside: `reported_run` runs the pipeline so; `notices` and `receivers` tell of its end,
`open_metrics` has its numbers; `terminal`, `run_lock`, `serving_lock` and `imports` serve others.
"""
