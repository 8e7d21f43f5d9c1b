"""Executor of Reporter."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.common.lineage import Lineage
from components.reporter import page

REPORT_FILE = "report.html"


class Executor(base_executor.BaseExecutor):
    """Builds the page."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `report.html`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        artifacts = {key: found[0].mlmd_artifact for key, found in input_dict.items() if found}
        exports = [one.mlmd_artifact for one in input_dict.get("exports", [])]
        html = page.render(
            artifacts,
            Lineage.from_json(exec_properties["lineage"]),
            page.RunFacts(
                exec_properties["pipeline"],
                self._context.pipeline_run_id or "",
                decisions=tuple(json.loads(exec_properties.get("decisions") or "[]")),
            ),
            exports,
        )
        report = artifact_utils.get_single_instance(output_dict["report"])
        with fileio.open(os.path.join(report.uri, REPORT_FILE), "w") as file:
            file.write(html)
