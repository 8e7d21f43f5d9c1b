"""A pipeline's state as numbers for Prometheus, read from ML Metadata when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import prometheus_client
from ml_metadata import MetadataStore
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

from components.common import run_record, schema
from pipeline.metadata.artifacts import earlier_blessed
from pipeline.metadata.history import Run, list_runs
from pipeline.running.notices import refusal

_LOOK_BACK = 100  # runs


class PipelineCollector(Collector):
    """Collects one pipeline's numbers.

    Args:
      pipeline: its name.
      open_store: opens its ML Metadata.
    """

    def __init__(self, pipeline: str, open_store: Callable[[], MetadataStore]) -> None:
        self._pipeline = pipeline
        self._open_store = open_store

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: else ML Metadata would be asked when this is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The numbers of this moment; what is not known yet is left out."""
        store = self._open_store()
        runs = list_runs(store, self._pipeline, _LOOK_BACK)
        ended = [run for run in runs if run.state in (run_record.DONE, run_record.FAILED)]
        good = [run for run in ended if run.state == run_record.DONE]
        # A night in which nothing had changed went well too, though no step has run.
        ends = [run.ended for run in good[:1]] + [
            record.ended
            for record in run_record.newest(store, _LOOK_BACK)
            if record.outcome == run_record.DONE and record.config.get("name") == self._pipeline
        ]
        if ends:
            text = "end of the last run that went well, were there steps to run or not"
            yield self._gauge("last_success_timestamp_seconds", text, max(ends) / 1000)
        if ended:
            yield from self._last(ended[0])
        for metric in (schema.MEAN_IOU, schema.CALIBRATION_ERROR):
            value = earlier_blessed(store, self._pipeline, None, metric)
            if value is not None:
                yield self._gauge(f"blessed_{metric}", "of the model that was blessed last", value)
        examples = _latest(good, "TfdsExampleGen", "examples")
        counts = {split: examples.get(f"{split}_set_aside") for split in schema.SPLITS}
        known = {split: count for split, count in counts.items() if count is not None}
        if known:
            family = GaugeMetricFamily(
                "segline_examples_set_aside",
                "examples of the last good run that could not be used",
                labels=["pipeline", "split"],
            )
            for split, count in known.items():
                family.add_metric([self._pipeline, split], count)
            yield family
        drifted = _latest(good, "DriftValidator", "anomalies").get("drifted")
        if drifted is not None:
            text = "features of the last good run that are far from the baseline's"
            yield self._gauge("drifted_features", text, drifted)

    def _last(self, run: Run) -> Iterator[GaugeMetricFamily]:
        seconds = (run.ended - run.started) / 1000
        failed = run.state == run_record.FAILED
        yield self._gauge("last_run_timestamp_seconds", "end of the last run", run.ended / 1000)
        yield self._gauge("last_run_duration_seconds", "how long the last run took", seconds)
        yield self._gauge("last_run_failed", "1: the last run has failed", failed)
        refused = not failed and bool(refusal(run))
        yield self._gauge("last_run_refused", "1: the last run's model was refused", refused)

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"segline_{name}", text, labels=["pipeline"])
        family.add_metric([self._pipeline], float(value))
        return family


def registry(
    pipeline: str, open_store: Callable[[], MetadataStore]
) -> prometheus_client.CollectorRegistry:
    """A registry with one pipeline's numbers, and nothing else."""
    result = prometheus_client.CollectorRegistry()
    result.register(PipelineCollector(pipeline, open_store))
    return result


def text(numbers: prometheus_client.CollectorRegistry) -> str:
    """The numbers in the OpenMetrics format."""
    return str(exposition.generate_latest(numbers).decode())  # type: ignore[no-untyped-call]


def _latest(runs: list[Run], step: str, key: str) -> dict[str, int]:
    """The counts on an output of the latest run that has it."""
    for run in runs:
        if artifact := run.output(step, key):
            properties = artifact.custom_properties
            return {
                name: value.int_value
                for name, value in properties.items()
                if value.HasField("int_value")
            }
    return {}
