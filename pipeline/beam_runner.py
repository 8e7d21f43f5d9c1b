"""What `tfx … --engine=beam` runs: the steps as one Beam pipeline,
independent ones at the same time.

    tfx pipeline create --engine=beam --pipeline_path=pipeline/beam_runner.py
    tfx run create --engine=beam --pipeline_name=quickstart

`SEGLINE_CONFIG` (a name in pipeline/configs, or the path of a YAML file) chooses
the pipeline; it must be the same for both commands.
"""

import sys
from pathlib import Path

# `tfx` runs this file as a script, with its folder as the first place where
# modules are looked for. There `import pipeline` would find pipeline.py.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import rich.console  # noqa: E402

from pipeline import reported_run  # noqa: E402
from pipeline.config import PipelineConfig  # noqa: E402


def run(config: PipelineConfig, console: rich.console.Console) -> None:
    """Runs the pipeline with TFX's BeamDagRunner."""
    from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

    from pipeline.pipeline import create_pipeline

    class BeamRunner(reported_run.ReportedRun, BeamDagRunner):
        pass

    BeamRunner(config, console).run(create_pipeline(config))


if __name__ == "__main__":
    reported_run.main(run)
