"""Runs TFX's Evaluator on masks and predictions that a test has made up."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from PIL import Image
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.common import schema
from components.common.pictures import pack_indices
from components.common.reliability import count_bins
from components.evaluator import component
from components.trainer.counting import confusion_matrices
from pipeline.config.beam import BeamStepConfig


def png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class RecordedPredictions(tf.Module):
    """A "model" whose predictions lie in the examples, under the feature that it is told."""

    def __init__(self, feature: str, num_classes: int) -> None:
        super().__init__()
        self._feature = feature
        self._num_classes = num_classes

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples):
        spec = tf.io.FixedLenFeature([], tf.string)
        parsed = tf.io.parse_example(examples, {"truth": spec, self._feature: spec, "id": spec})

        def count(pair):
            truth, predicted = (
                tf.cast(tf.io.decode_png(one)[None, ..., 0], tf.int64) for one in pair
            )
            return confusion_matrices(truth, predicted, self._num_classes)[0]

        size = [self._num_classes] * 2
        matrices = tf.map_fn(
            count,
            (parsed["truth"], parsed[self._feature]),
            fn_output_signature=tf.TensorSpec(size, tf.int64),
        )
        counts = {schema.CONFUSION_MATRIX: matrices, schema.EXAMPLE_ID: parsed["id"]}
        return counts if self._feature == "before" else counts | self._reliability(examples)

    def _reliability(self, examples):
        """Of a model of today, where the examples say how sure it was: PNGs of 0 to 255."""
        features = {
            name: tf.io.FixedLenFeature([], tf.string)
            for name in ("truth", "predicted", "confidence")
        }

        def count(one):
            truth, predicted, sure = (
                tf.io.decode_png(one[name])[None, ..., 0] for name in features
            )
            confidence = tf.cast(sure, tf.float32) / 255
            return count_bins(confidence, predicted == truth, truth < self._num_classes)[0]

        parsed = tf.io.parse_example(examples, features)
        return {schema.RELIABILITY: tf.map_fn(count, parsed, fn_output_signature=tf.int64)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate_at_picture(self, examples):
        """Of a model of today; one of before (`before`) does not give its masks."""
        spec = tf.io.FixedLenFeature([], tf.string)
        parsed = tf.io.parse_example(examples, {"truth": spec, self._feature: spec})

        def packed(png):
            return pack_indices(tf.io.decode_png(png)[..., 0])

        masks = {
            name: tf.map_fn(packed, parsed[feature])
            for name, feature in (
                (schema.PACKED_TRUTH, "truth"),
                (schema.PACKED_MASK, self._feature),
            )
        }
        return self.evaluate(examples) | ({} if self._feature == "before" else masks)


@pytest.fixture
def evaluate(tmp_path):
    """Evaluates recorded predictions; gives the evaluation's folder and the blessing."""

    def run(examples: list[dict], eval_config, baseline: bool = False):
        """Examples: dicts of `truth`, `predicted`, perhaps `before` (masks), and slices (str)."""
        inputs = {"examples": [write_examples(examples)]}
        inputs["model"] = [write_model("predicted", eval_config, 1)]
        if baseline:
            inputs["baseline_model"] = [write_model("before", eval_config, 2)]
        outputs = {}
        for key, kind in (
            ("evaluation", standard_artifacts.ModelEvaluation),
            ("blessing", standard_artifacts.ModelBlessing),
        ):
            artifact = kind()
            artifact.uri = str(tmp_path / key)
            os.makedirs(artifact.uri)
            outputs[key] = [artifact]
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=BeamStepConfig(args=("--direct_num_workers=1",)).pipeline_args(),
            tmp_dir=str(tmp_path / "tmp"),
            unique_id="1",
        )
        component.Executor(context).Do(
            inputs,
            outputs,
            {
                "eval_config": json_format.MessageToJson(eval_config),
                "example_splits": json.dumps([schema.TEST]),
                "module_path": "components.evaluator.object_size",
            },
        )
        blessing = outputs["blessing"][0].get_int_custom_property("blessed")
        return outputs["evaluation"][0].uri, bool(blessing)

    def write_examples(examples):
        artifact = standard_artifacts.Examples()
        artifact.uri = str(tmp_path / "examples")
        artifact.split_names = artifact_utils.encode_split_names([schema.TEST])
        artifact.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        folder = tmp_path / "examples" / f"Split-{schema.TEST}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "data.gz"), "GZIP") as writer:
            for index, example in enumerate(examples):
                feature = {"id": str(index).encode()}
                sure = np.full_like(example["truth"], 255)
                for key, value in {"confidence": sure, **example}.items():
                    feature[key] = value.encode() if isinstance(value, str) else png(value)
                features = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for key, value in feature.items()
                }
                writer.write(
                    tf.train.Example(
                        features=tf.train.Features(feature=features)
                    ).SerializeToString()
                )
        return artifact

    def write_model(feature, eval_config, identity):
        from components.evaluator.eval_config import eval_settings

        artifact = standard_artifacts.Model()
        artifact.id = identity
        artifact.uri = str(tmp_path / feature)
        module = RecordedPredictions(feature, len(eval_settings(eval_config).class_names))
        tf.saved_model.save(
            module,
            os.path.join(artifact.uri, "Format-Serving"),
            signatures={
                schema.EVALUATE_SIGNATURE: module.evaluate,
                schema.EVALUATE_AT_PICTURE_SIGNATURE: module.evaluate_at_picture,
            },
        )
        return artifact

    return run
