import numpy as np
import pytest
import tensorflow as tf

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
