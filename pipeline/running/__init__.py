"""What watches and tells of a run: terminal, summary, the lock, errors in a person's words.

From outside: `reported_run` runs the pipeline so; `terminal`, `run_lock` and `imports` serve
others.
"""
