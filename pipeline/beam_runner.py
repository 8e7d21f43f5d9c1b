"""What `tfx … --engine=beam` runs: the steps as one Beam pipeline.

Independent steps run at the same time. See local_runner.py for the commands
(`--engine=beam`, pipeline/beam_runner.py) and for why `sys.path` is changed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline.running import reported_run  # noqa: E402

if __name__ == "__main__":
    reported_run.main("tfx.orchestration.beam.beam_dag_runner.BeamDagRunner")
