import numpy as np
import pytest
import small_models
import tensorflow as tf

from components.common import schema
from components.common.picture_fit import PictureFit
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
    assert served.limits == (3, 2)
    rng = np.random.default_rng(0)
    png = small_models.png(rng.integers(0, 255, (700, 800, 3), np.uint8))
    assert 1.5e6 < len(png) < 3e6 and served.predict([png])
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 3 MB"):
        served.predict([png, png])


@pytest.mark.parametrize(("fit", "together"), [("tiles", [1] * 5), ("pad", [5])])
def test_large_pictures_are_prepared_one_by_one_for_the_evaluation(
    tmp_path, monkeypatch, fit, together
):
    """The Transform step's graph unpacks all that it is given: memory is that of the largest."""
    seen = []

    class Watched(small_models.Transform):
        def __call__(self, features):
            count = tf.shape(features[schema.IMAGE])[0]
            tf.py_function(lambda number: seen.append(int(number)), [count], [])
            return super().__call__(features)

    monkeypatch.setattr(small_models, "Transform", Watched)
    settings = PictureFit(image_size=small_models.SIZE, fit=fit)
    path = small_models.save(small_models.untrained(), tmp_path / "model", settings)
    file = tmp_path / "examples.gz"
    small_models.write_examples(file, [(20 + 9 * number, 50) for number in range(5)])
    examples = list(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator())
    evaluate = tf.saved_model.load(path).signatures[schema.EVALUATE_SIGNATURE]
    found = evaluate(examples=tf.constant(examples))
    assert found[schema.CONFUSION_MATRIX].shape == (5, 2, 2)
    assert seen == together
