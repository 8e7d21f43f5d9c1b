"""infra/kubernetes, and what its documents say."""

import re
from pathlib import Path

import yaml

from pipeline.config.loading import PipelineConfig

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"


def ports_of(pod):
    return {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def guide(page):
    """The config on a page of the documentation."""
    text = (FOLDER.parents[1] / "docs" / "how-to" / page).read_text()
    (block,) = (b for b in re.findall(r"```yaml\n(.*?)```", text, re.S) if "\nkubeflow:" in b)
    return PipelineConfig.model_validate(yaml.safe_load(block))
