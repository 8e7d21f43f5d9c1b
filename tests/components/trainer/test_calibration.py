import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import small_models
import tensorflow as tf

from components.common import schema
from components.common.picture_fit import PictureFit
from components.trainer import calibration
from components.trainer.calibration import Calibration, calibrate
from components.trainer.tiled_pictures import TiledPictures
from components.trainer.whole_pictures import WholePictures

CLASSES = 4


def identity(side=16):
    """A network whose pictures are its logits."""
    inputs = keras.Input((side, side, CLASSES))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def drawn(temperature, pictures=12, side=16, ignored=0.2):
    """Logits, and truths that are as frequent as softmax(logits / temperature) says."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (pictures, side, side, CLASSES)).astype(np.float32)
    chances = scipy.special.softmax(logits / temperature, -1).cumsum(-1)
    truth = (rng.random((*chances.shape[:-1], 1)) > chances[..., :-1]).sum(-1).astype(np.uint8)
    truth[rng.random(truth.shape) < ignored] = schema.IGNORE_INDEX
    return logits, truth


def batches(logits, truth):
    return tf.data.Dataset.from_tensor_slices((logits, truth)).batch(5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_the_one_that_scipy_finds(temperature):
    logits, truth = drawn(temperature)
    keep = truth < CLASSES

    def entropy(t):
        logs = scipy.special.log_softmax(logits[keep].astype(float) / t, -1)
        return -np.take_along_axis(logs, truth[keep][:, None].astype(int), -1).mean()

    bracket = tuple(temperature * factor for factor in (0.4, 1, 3))
    wanted = scipy.optimize.minimize_scalar(entropy, bracket=bracket).x
    found = calibrate(identity(), batches(logits, truth), len(logits), CLASSES, seed=0)
    assert found.temperature == pytest.approx(wanted, abs=2e-4)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.pixels == np.count_nonzero(keep) and not found.problem
    assert found.nll == pytest.approx(entropy(wanted), abs=1e-7)
    assert found.nll_before == pytest.approx(entropy(1), abs=1e-7)


def test_of_many_pixels_the_same_share_of_each_picture_is_kept(monkeypatch):
    logits, truth = drawn(2.0)
    truth[3] = schema.IGNORE_INDEX
    monkeypatch.setattr(calibration, "_MOST_VALUES", CLASSES * truth.size // 10)
    model, data = identity(), batches(logits, truth)
    margins = calibration.sample_margins(model, data, len(logits), CLASSES, seed=3)
    shares = [np.ceil(np.count_nonzero(one < CLASSES) / 10) for one in truth]
    assert len(margins) == sum(shares)
    known = logits.astype(float) - np.take_along_axis(
        logits, np.minimum(truth, CLASSES - 1)[..., None].astype(int), -1
    )
    rows = {tuple(row) for row in known[truth < CLASSES]}
    assert {tuple(row) for row in margins} <= rows
    again = calibration.sample_margins(model, data, len(logits), CLASSES, seed=3)
    np.testing.assert_array_equal(margins, again)
    other = calibration.sample_margins(model, data, len(logits), CLASSES, seed=4)
    assert not np.array_equal(margins, other)


def test_where_nothing_can_be_fitted_the_temperature_is_1_and_why_is_told(caplog):
    logits, truth = drawn(2.0)
    nothing = np.full_like(truth, schema.IGNORE_INDEX)
    broken = np.where(logits > 9, np.nan, logits)
    for data, pictures, problem in (
        (batches(logits, truth).take(0), 0, "the validation split has no pixel that counts"),
        (batches(logits, nothing), 12, "the validation split has no pixel that counts"),
        (batches(broken, truth), 12, "the network's logits are not all finite"),
    ):
        caplog.clear()
        found = calibrate(identity(), data, pictures, CLASSES, seed=0)
        assert found == Calibration(1.0, 0, problem=problem)
        assert f"temperature 1: {problem}" in caplog.text


def test_a_split_without_an_error_gives_a_bounded_temperature():
    logits, _ = drawn(1.0)
    truth = logits.argmax(-1).astype(np.uint8)
    found = calibrate(identity(), batches(logits, truth), len(logits), CLASSES, seed=0)
    assert found.temperature == pytest.approx(calibration.LEAST, rel=1e-2)


SIZE = (32, 64)
TEMPERATURE = 2.5


def logits_of(pictures):
    """Of two classes, by brightness and by where in the window a pixel lies."""
    light = 6 * tf.reduce_mean(pictures, -1) - 3 + tf.linspace(-1.0, 1.0, pictures.shape[2])
    return tf.stack([-light, light], -1)


def probabilities_of(pictures):
    return tf.nn.softmax(logits_of(pictures))


@pytest.mark.parametrize("fit", ["stretch", "pad", "tiles"])
def test_masks_are_the_same_to_the_bit_and_confidence_is_counted_where_pixels_are(fit):
    rng = np.random.default_rng(0)
    pairs = [small_models.picture(rng, shape) for shape in [(32, 48), (70, 40), (20, 90)]]
    settings = PictureFit(image_size=SIZE, fit=fit, tiles={"overlap": 8} if fit == "tiles" else {})
    layer = small_models.Transform(settings)
    raw = {
        schema.IMAGE: tf.constant([[small_models.png(image)] for image, _ in pairs]),
        schema.MASK: tf.constant([[small_models.png(mask)] for _, mask in pairs]),
    }
    features = layer({schema.IMAGE: raw[schema.IMAGE]})
    kind = TiledPictures if fit == "tiles" else WholePictures
    plain = kind(settings, small_models.CLASSES)
    calibrated = kind(settings, small_models.CLASSES, temperature=TEMPERATURE)
    before, after = (one.answer(features, probabilities_of) for one in (plain, calibrated))
    for name in (schema.MASK, schema.MASK_PNG_BYTES):
        np.testing.assert_array_equal(before[name], after[name])
    assert (after[schema.CONFIDENCE].numpy() < before[schema.CONFIDENCE].numpy()).all()

    for at in ("count", "count_at_picture"):
        first, second = (getattr(one, at)(layer, raw, logits_of) for one in (plain, calibrated))
        matrices = first[schema.CONFUSION_MATRIX].numpy()
        np.testing.assert_array_equal(matrices, second[schema.CONFUSION_MATRIX])
        for counts in (first, second):
            bins = counts[schema.RELIABILITY].numpy()
            pixels, right = bins[:, :, 0].sum(1), bins[:, :, 1].sum(1)
            np.testing.assert_array_equal(pixels, matrices.sum((1, 2)))
            np.testing.assert_array_equal(right, matrices.trace(axis1=1, axis2=2))
        if at == "count" or fit == "tiles":  # the size at which an answer's confidence is, too
            for counts, answer in ((first, before), (second, after)):
                bins = counts[schema.RELIABILITY].numpy()
                mean = bins[:, :, 2].sum(1) / (1 << 24) / bins[:, :, 0].sum(1)
                np.testing.assert_allclose(mean, answer[schema.CONFIDENCE], atol=1e-5)
