import numpy as np
import pytest
import small_models
import tensorflow as tf

from components.common.served_model import ServedModel
from components.trainer.config import ServingConfig
from components.trainer.counting import in_chunks


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_chunks_give_what_the_whole_gives(count):
    seen = []

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int64)])
    def apply(batch):
        def double(part):
            tf.py_function(lambda n: seen.append(int(n)), [tf.shape(part)[0]], [])
            return {"twice": part * 2, "text": tf.strings.as_string(part[:, 0])}

        return in_chunks(double, batch, 32, {"twice": tf.int64, "text": tf.string})

    batch = np.arange(count * 3).reshape(count, 3)
    found = apply(tf.constant(batch, tf.int64))
    np.testing.assert_array_equal(found["twice"], batch * 2)
    assert [int(text) for text in found["text"].numpy()] == batch[:, 0].tolist()
    assert sum(seen) == count and max(seen) <= 32


def test_the_card_has_the_limits_that_the_graph_keeps(tmp_path):
    """By them pieces of rasters and the check before the push are cut to size."""
    model = small_models.save(
        small_models.untrained(), tmp_path, serving=ServingConfig(max_megabytes=3, max_megapixels=2)
    )
    served = ServedModel(model)
    assert (served.max_megabytes, served.max_megapixels) == (3, 2)
    rng = np.random.default_rng(0)
    png = small_models.png(rng.integers(0, 255, (700, 800, 3), np.uint8))
    assert 1.5e6 < len(png) < 3e6 and served.predict([png])
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 3 MB"):
        served.predict([png, png])
