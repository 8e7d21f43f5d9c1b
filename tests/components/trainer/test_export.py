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
            return part * 2

        return in_chunks(double, batch, 32)

    batch = np.arange(count * 3).reshape(count, 3)
    np.testing.assert_array_equal(apply(tf.constant(batch, tf.int64)), batch * 2)
    assert sum(seen) == count and max(seen) <= 32
