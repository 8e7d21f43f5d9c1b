"""Beam's portable job service, with so many workers for a job: `WORKERS`.

`LocalJobServicer` makes an `FnApiRunner` of one worker (local_job_service.py:315, Beam 2.59);
all else is as it is there.
"""

import os
import sys

from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability import local_job_service, local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner


class SeveralWorkers(local_job_service.BeamJob):
    def _invoke_runner(self):
        self.set_state(beam_job_api_pb2.JobState.RUNNING)
        runner = fn_runner.FnApiRunner(provision_info=self._provision_info)
        runner._num_workers = int(os.environ["WORKERS"])
        return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())


if __name__ == "__main__":
    local_job_service.BeamJob = SeveralWorkers
    local_job_service_main.logging.basicConfig(level="INFO")
    local_job_service_main.run(sys.argv[1:])
