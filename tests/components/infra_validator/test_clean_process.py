"""Models that can't be served, in real processes; each knows no more than TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator.clean_process import Call, ServingError, probe
from components.infra_validator.config import InfraValidatorConfig

pytestmark = pytest.mark.slow

ARGUMENT = tf.TensorSpec([None], tf.string, name="text")


class Echo(tf.Module):
    """Gives back what it gets; fails on request."""

    @tf.function(input_signature=[ARGUMENT])
    def serve(self, text):
        refused = tf.debugging.Assert(tf.reduce_all(text != b"refuse"), ["no such thing"])
        with tf.control_dependencies([refused]):
            return {"text": tf.identity(text), "length": tf.strings.length(text)}

    @tf.function(input_signature=[ARGUMENT])
    def endless(self, text):
        def turn(number):
            return number + tf.cast(tf.strings.length(text)[0] > 0, tf.int64)

        (number,) = tf.while_loop(lambda number: number >= 0, turn, [tf.constant(0, tf.int64)])
        return {"number": number}

    @tf.function(input_signature=[ARGUMENT])
    def greedy(self, text):
        zero = tf.cast(tf.strings.length(text)[0] * 0, tf.float32)
        return {"sum": tf.reduce_sum(tf.exp(tf.fill([40_000, 20_000], zero)))}

    @tf.function(input_signature=[ARGUMENT])
    def die(self, text):
        abort = tf.raw_ops.Abort(error_msg="as asked", exit_without_error=False)
        with tf.control_dependencies([abort]):
            return {"text": tf.identity(text)}


class Slow(tf.saved_model.experimental.TrackableResource):
    """What a server initialises when it loads the model; takes for ever."""

    def _create_resource(self):
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self):
        (end,) = tf.while_loop(lambda now: now >= 0, lambda now: now + 1, [tf.timestamp()])
        tf.debugging.Assert(end < 0, ["never reached"])  # or the loop would be left out


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("echo"))
    module = Echo()
    names = ("serve", "endless", "greedy", "die")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, folder, signatures)
    return folder


def call(signature, *batch):
    return Call(f"{signature} it", signature, "text", batch)


def test_answers_come_back_in_order_and_whole(echo, tmp_path):
    calls = [call("serve", b"a\0\0", b""), call("serve", b"refuse"), call("serve", b"\xff")]
    found = probe(echo, calls, InfraValidatorConfig(), str(tmp_path))
    first, refused, last = found.answers
    assert first.outputs["text"].tolist() == [b"a\0\0", b""]
    np.testing.assert_array_equal(first.outputs["length"], [3, 0])
    assert refused.outputs is None
    assert refused.error.startswith("InvalidArgumentError") and "no such thing" in refused.error
    assert last.outputs["text"].tolist() == [b"\xff"]
    assert found.tensorflow == tf.__version__
    assert 50 < found.peak_memory_mb < 4096 and 0 < found.load_seconds < 120


@pytest.mark.parametrize(
    ("signature", "limits", "message"),
    [
        ("endless", {"max_request_seconds": 2}, r"endless it: no answer within 2 s .*max_request"),
        ("greedy", {"max_memory_mb": 1500}, r"more than 1500 MB of memory .*max_memory_mb"),
        ("die", {}, "the serving process was killed by signal 6"),
    ],
)
def test_a_request_beyond_the_limits(echo, tmp_path, signature, limits, message):
    with pytest.raises(ServingError, match=message):
        probe(echo, [call(signature, b"x")], InfraValidatorConfig(**limits), str(tmp_path))


def test_a_model_that_is_slow_to_load(tmp_path):
    module = Echo()
    module.resource = Slow()
    folder, work = tmp_path / "slow", tmp_path / "work"
    work.mkdir()
    tf.saved_model.save(module, str(folder), {"serve": module.serve})
    with pytest.raises(ServingError, match=r"did not load within 3 s .*max_load_seconds"):
        probe(str(folder), [], InfraValidatorConfig(max_load_seconds=3), str(work))


def test_a_folder_that_holds_no_model(tmp_path):
    folder, work = tmp_path / "broken", tmp_path / "work"
    work.mkdir()
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"rubbish")
    with pytest.raises(ServingError, match="can't be loaded with TensorFlow alone: OSError"):
        probe(str(folder), [], InfraValidatorConfig(), str(work))
