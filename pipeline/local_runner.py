"""What `tfx … --engine=local` runs: the steps one after another in this process.

    tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    tfx run create --engine=local --pipeline_name=quickstart

`SEGLINE_CONFIG` (a name in pipeline/configs, or the path of a YAML file) chooses
the pipeline; it must be the same for both commands.
"""

import sys
from pathlib import Path

# `tfx` runs this file as a script, with its folder as the first place where
# modules are looked for. There `import pipeline` would find pipeline.py.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.running import reported_run  # noqa: E402

if __name__ == "__main__":
    reported_run.main("tfx.orchestration.local.local_dag_runner.LocalDagRunner")
