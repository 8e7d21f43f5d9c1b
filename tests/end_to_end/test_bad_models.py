"""Deliberately bad models, sent through the steps between Trainer and served model.

(The untrained one is in `test_run.py`: it comes from the Trainer itself.)
"""

import os

import pytest
import tensorflow as tf
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Examples, Model

from components.common import schema
from components.evaluator.verdict import read_verdict
from components.infra_validator.result import read_check
from pipeline.config.loading import load_config
from pipeline.metadata.history import read_run
from pipeline.pipeline import make_gate


class Doctored(tf.Module):
    """A trained model, changed on its way to the saved model."""

    def __init__(self, original):
        super().__init__()
        self.original = original

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        return self.original.signatures["serving_default"](image_bytes=image_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples):
        return self.original.signatures["evaluate"](examples=examples)


class OneClass(Doctored):
    """Says `pet` everywhere, in service and in the evaluation."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        outputs = self.original.signatures["serving_default"](image_bytes=image_bytes)
        pngs = tf.map_fn(
            lambda png: tf.io.encode_png(tf.zeros_like(tf.io.decode_png(png))),
            outputs["mask_png_bytes"],
        )
        return {
            "mask": tf.zeros_like(outputs["mask"]),
            "mask_png_bytes": pngs,
            "confidence": outputs["confidence"],
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples):
        outputs = self.original.signatures["evaluate"](examples=examples)
        matrix = outputs["confusion_matrix"]
        truth = tf.reduce_sum(matrix, axis=-1, keepdims=True)
        return {
            "confusion_matrix": tf.concat([truth, tf.zeros_like(matrix[..., 1:])], -1),
            "example_id": outputs["example_id"],
        }


class NoPng(Doctored):
    """Was only ever tried on JPEGs."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        is_png = tf.strings.substr(image_bytes, 1, 3) == b"PNG"
        check = tf.debugging.Assert(~tf.reduce_any(is_png), ["Not a JPEG file"])
        with tf.control_dependencies([check]):
            return self.original.signatures["serving_default"](image_bytes=image_bytes)


class Slow(tf.saved_model.experimental.TrackableResource):
    """A table whose filling takes a while: what a server does when it loads the model."""

    def _create_resource(self):
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self):
        end = tf.timestamp() + 12
        (now,) = tf.while_loop(lambda now: now < end, lambda _: tf.timestamp(), [tf.timestamp()])
        tf.debugging.Assert(now >= end, ["never"])  # or the loop would be left out


class SlowToLoad(Doctored):
    """Sound, once it is there."""

    def __init__(self, original):
        super().__init__(original)
        self.table = Slow()


@pytest.fixture(scope="module")
def gate(first_run, tmp_path_factory):
    """Sends a model through Evaluator, InfraValidator and Pusher; gives the run."""
    original = tf.saved_model.load(str(first_run.first_model))
    first_run_examples = first_run.outputs("TfdsExampleGen/examples")[0]

    def run(kind: type, **limits: int):
        folder = tmp_path_factory.mktemp(kind.__name__)
        save(kind, folder / "model")
        os.chdir(folder)
        config = load_config(str(first_run.folder / "tiny.yaml"), environment={})
        # Floors at zero, no earlier model: what refuses it is the model itself.
        config = config.model_copy(
            update={"infra_validator": config.infra_validator.model_copy(update=limits)}
        )
        examples = Importer(
            source_uri=str(first_run_examples),
            artifact_type=Examples,
            properties={"split_names": '["train", "validation", "test"]'},
            custom_properties={"payload_format": "FORMAT_TF_EXAMPLE"},
        ).with_id("Examples")
        model = Importer(source_uri=str(folder / "model"), artifact_type=Model).with_id("Model")
        steps = make_gate(config, examples.outputs["result"], model.outputs["result"])
        connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
        LocalDagRunner().run(
            Pipeline(
                pipeline_name="gate",
                pipeline_root=str(folder / "artifacts"),
                components=[examples, model, *steps],
                metadata_connection_config=connection,
            )
        )
        store = MetadataStore(connection.sqlite and _connection(folder))
        (context,) = store.get_contexts_by_type("pipeline_run")
        served = os.listdir("runs/tiny/serving") if os.path.isdir("runs/tiny/serving") else []
        return read_run(store, context.name), served

    def save(kind, folder):
        module = kind(original)
        target = str(folder / "Format-Serving")
        signatures = {
            schema.SERVING_SIGNATURE: module.serve,
            schema.EVALUATE_SIGNATURE: module.evaluate,
            schema.TRANSFORM_SIGNATURE: original.signatures[schema.TRANSFORM_SIGNATURE],
        }
        tf.saved_model.save(module, target, signatures)
        card = first_run.first_model / "assets.extra"
        os.makedirs(f"{target}/assets.extra")
        (folder / "Format-Serving/assets.extra/segline.json").write_text(
            (card / "segline.json").read_text()
        )

    here = os.getcwd()
    yield run
    os.chdir(here)


def _connection(folder):
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.db")
    return config


def outcome(run):
    verdict = read_verdict(run.output("Evaluator", "evaluation").uri)
    blessing = run.output("InfraValidator", "blessing")
    check = read_check(blessing.uri)
    return verdict, check, check.lines()


def test_the_model_unchanged_passes_and_is_pushed(gate):
    run, served = gate(Doctored)
    verdict, check, lines = outcome(run)
    assert verdict.blessed and check.passed and len(served) == 1
    ((passed, line),) = lines
    assert passed and "8 kinds of requests" in line


def test_one_class_everywhere_is_refused_by_the_evaluator(gate):
    run, served = gate(OneClass)
    verdict, check, _ = outcome(run)
    assert not verdict.blessed and check.passed and not served
    assert [line for passed, line in verdict.deciding_lines() if not passed] == [
        "it predicts one and the same class for every pixel of every picture"
    ]


def test_a_model_that_throws_on_png_is_refused_by_the_infra_validator(gate):
    run, served = gate(NoPng)
    verdict, check, lines = outcome(run)
    assert verdict.blessed and not check.passed and not served
    failed = [line for passed, line in lines if not passed]
    assert failed[0].startswith("serving: PNG, batch of 1: InvalidArgumentError: ")
    assert "Not a JPEG file" in failed[0]
    assert {name for name, _ in check.faults} >= {"PNG, batch of 1", "RGBA PNG, batch of 1"}
    reason = run.output("InfraValidator", "blessing").custom_properties["reason"].string_value
    assert reason.startswith("PNG, batch of 1")


def test_a_model_that_is_slow_to_load_is_refused_by_the_infra_validator(gate):
    run, served = gate(SlowToLoad, max_load_seconds=5)
    _, check, lines = outcome(run)
    assert not check.passed and not served
    assert lines == [
        (
            False,
            "serving: the model did not load within 5 s (infra_validator.max_load_seconds)",
        )
    ]
