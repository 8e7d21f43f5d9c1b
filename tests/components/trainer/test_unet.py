from typing import get_args

import keras
import numpy as np
import pytest
from keras.src.applications import mobilenet_v2

from components.common.errors import UserError
from components.trainer import encoders, unet
from components.trainer.config import DecoderConfig, EncoderConfig

pytestmark = pytest.mark.slow

# (KerasHub's presets: test_keras_hub_presets.py.)
NAMES = sorted({*get_args(EncoderConfig.model_fields["name"].annotation)} - {"keras_hub"})
FROM_SCRATCH = EncoderConfig(weights="none", alpha=0.35)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """MobileNetV2 weights in a file, as `include_top=False` saves them."""
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    keras.utils.set_random_seed(1)
    keras.applications.MobileNetV2(
        input_shape=(64, 96, 3), alpha=0.35, include_top=False, weights=None
    ).save_weights(path)
    return str(path)


def tutorial_unet():
    """The tutorial's model, as its text has it."""
    base = keras.applications.MobileNetV2(
        input_shape=[128, 128, 3], include_top=False, weights=None
    )
    names = [
        "block_1_expand_relu",
        "block_3_expand_relu",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "block_16_project",
    ]
    down_stack = keras.Model(base.input, [base.get_layer(name).output for name in names])
    down_stack.trainable = False

    def upsample(filters):
        return keras.Sequential(
            [
                keras.layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
            ]
        )

    inputs = keras.layers.Input(shape=[128, 128, 3])
    skips = down_stack(inputs)
    x = skips[-1]
    for up, skip in zip(
        [upsample(f) for f in (512, 256, 128, 64)], reversed(skips[:-1]), strict=True
    ):
        x = keras.layers.Concatenate()([up(x), skip])
    last = keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same")
    return keras.Model(inputs, last(x))


def test_it_is_the_tutorials_network(tmp_path):
    """Same weights in, same logits out."""
    reference = tutorial_unet()
    path = tmp_path / "encoder.weights.h5"
    keras.applications.MobileNetV2(
        input_shape=(128, 128, 3), include_top=False, weights=None
    ).save_weights(path)
    ours = unet.build_unet(
        3, (128, 128), EncoderConfig(weights=str(path)), DecoderConfig(filters=(512, 256, 128, 64))
    )
    assert [w.shape for w in ours.weights] == [w.shape for w in reference.weights]
    assert len(ours.trainable_weights) == len(reference.trainable_weights)
    ours.set_weights(reference.get_weights())
    pictures = np.random.default_rng(0).random((2, 128, 128, 3), np.float32)
    np.testing.assert_allclose(
        ours.predict_on_batch(pictures), reference.predict_on_batch(pictures), atol=1e-5
    )


def test_other_sizes_and_class_counts():
    model = unet.build_unet(7, (64, 96), FROM_SCRATCH, DecoderConfig(filters=(32, 16, 16, 8)))
    assert model.output_shape == (None, 64, 96, 7)


def test_the_skips_of_mobilenet_v2_are_the_tutorials():
    for side in (128, 224):
        network = keras.applications.MobileNetV2(
            input_shape=(side, side, 3), include_top=False, weights=None
        )
        names = [layer.name for layer in encoders.skip_layers(network, "block_16_project")]
        assert names == [
            "block_1_expand_relu",
            "block_3_expand_relu",
            "block_6_expand_relu",
            "block_13_expand_relu",
            "block_16_project",
        ]


def test_every_network_of_the_config_is_there():
    assert set(NAMES) == set(encoders.NETWORKS)


@pytest.mark.parametrize("name", NAMES)
def test_skips_halve_the_size_and_lead_to_one_another(name):
    config = EncoderConfig(name=name, weights="none")
    encoder = encoders.build_encoder((64, 96), config)
    assert [output.shape[1:3] for output in encoder.outputs] == [
        (64 // stride, 96 // stride) for stride in encoders.STRIDES
    ]
    model = unet.build_unet(3, (64, 96), config, DecoderConfig(filters=(8, 8, 8, 8)))
    assert model(np.zeros((2, 64, 96, 3), np.float32)).shape == (2, 64, 96, 3)
    # What is given to the decoder is all that the network has found out at a stride.
    gradient_reaches = model.get_layer(encoders.ENCODER_NAME).trainable_weights
    assert len(gradient_reaches) > 20


@pytest.mark.parametrize("kind", ["transposed", "separable"])
@pytest.mark.parametrize("enlarge", [1, 1.5, 2])
def test_decoders_give_logits_of_the_pictures_size(kind, enlarge):
    config = EncoderConfig(weights="none", alpha=0.35, enlarge=enlarge)
    model = unet.build_unet(5, (64, 96), config, DecoderConfig(kind=kind, filters=(16, 16, 8, 8)))
    logits = model(np.random.default_rng(0).random((2, 64, 96, 3), np.float32))
    assert logits.shape == (2, 64, 96, 5)
    seen = model.get_layer(encoders.ENCODER_NAME).input_shape[1:3]
    assert seen == {1: (64, 96), 1.5: (96, 160), 2: (128, 192)}[enlarge]  # 144 is no multiple of 32
    assert (model.get_layer("logits").strides == (1, 1)) == (enlarge > 1 or kind == "separable")


def test_an_alpha_where_there_is_none():
    with pytest.raises(ValueError, match="efficientnet_v2_b0 has no width multiplier"):
        EncoderConfig(name="efficientnet_v2_b0", alpha=0.5)


def test_a_pretrained_encoder_is_frozen_and_one_from_scratch_trains(weights_file):
    config = EncoderConfig(weights=weights_file, alpha=0.35)
    frozen = unet.build_unet(3, (64, 96), config, DecoderConfig(filters=(8, 8, 8, 8)))
    assert not frozen.get_layer(encoders.ENCODER_NAME).trainable_weights
    free = unet.build_unet(3, (64, 96), FROM_SCRATCH, DecoderConfig(filters=(8, 8, 8, 8)))
    assert free.get_layer(encoders.ENCODER_NAME).trainable_weights


def test_fine_tuning_leaves_batch_norm_alone(weights_file):
    config = EncoderConfig(weights=weights_file, alpha=0.35)
    model = unet.build_unet(3, (64, 96), config, DecoderConfig(filters=(8, 8, 8, 8)))
    unet.unfreeze_encoder(model)
    encoder = model.get_layer(encoders.ENCODER_NAME)
    assert encoder.trainable_weights
    norms = [layer for layer in encoder.layers if "BatchNorm" in type(layer).__name__]
    assert norms and not any(layer.trainable_weights for layer in norms)
    before = [layer.moving_mean.numpy() for layer in norms]
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    pictures = np.random.default_rng(0).random((4, 64, 96, 3), np.float32)
    model.train_on_batch(pictures, np.ones((4, 64, 96), np.uint8))
    for layer, mean in zip(norms, before, strict=True):
        np.testing.assert_array_equal(layer.moving_mean.numpy(), mean)


@pytest.mark.parametrize("stride", [2, 4, 16])
def test_fine_tuning_beyond_a_stride(weights_file, stride):
    config = EncoderConfig(weights=weights_file, alpha=0.35)
    model = unet.build_unet(3, (64, 96), config, DecoderConfig(filters=(8, 8, 8, 8)))
    unet.unfreeze_encoder(model, stride)
    encoder = model.get_layer(encoders.ENCODER_NAME)
    size = (64 // stride, 96 // stride)
    trained = [layer for layer in encoder.layers if layer.trainable_weights]
    frozen = [layer for layer in encoder.layers if layer.weights and layer not in trained]
    assert trained and all(layer.output.shape[1] < size[0] for layer in trained)
    assert any(tuple(layer.output.shape[1:3]) == size for layer in frozen)


def test_the_input_range_is_part_of_the_model(weights_file):
    pictures = np.random.default_rng(0).random((1, 64, 96, 3), np.float32)
    outputs = []
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        config = EncoderConfig(weights=weights_file, alpha=0.35, input_range=(low, high))
        keras.utils.set_random_seed(0)
        model = unet.build_unet(3, (64, 96), config, DecoderConfig(filters=(8, 8, 8, 8)))
        outputs.append(model.predict_on_batch((pictures - low) / (high - low)))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)


PREPARING = (keras.layers.Rescaling, keras.layers.Normalization)
# What Keras does to a picture in [0, 255]; the others' preprocessing is a part of their model.
PREPARE = {
    "mobilenet_v2": keras.applications.mobilenet_v2.preprocess_input,
    "resnet50": keras.applications.resnet50.preprocess_input,
    "resnet50_v2": keras.applications.resnet_v2.preprocess_input,
}


@pytest.mark.parametrize("name", NAMES)
def test_as_trained_is_what_keras_prepares(name):
    pictures = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    inputs = keras.Input((32, 32, 3))
    config = EncoderConfig(name=name, weights="none", input_range="as_trained")
    ours = keras.Model(inputs, encoders.input_scaling(config).apply(inputs))
    if prepare := PREPARE.get(name):
        expected = prepare(255 * pictures)
    else:
        build = encoders.NETWORKS[name].build
        network = build(input_shape=(32, 32, 3), include_top=False, weights=None)
        last = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
        seen = last.input
        while not isinstance(seen._keras_history.operation, PREPARING):
            seen = seen._keras_history.operation.input  # padding
        expected = keras.Model(network.input, seen).predict_on_batch(255 * pictures)
    np.testing.assert_allclose(ours.predict_on_batch(pictures), expected, rtol=1e-4, atol=1e-4)


def test_mixed_precision_keeps_float32_logits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = unet.build_unet(3, (64, 64), FROM_SCRATCH, DecoderConfig(filters=(8, 8, 8, 8)))
        logits = model(np.zeros((1, 64, 64, 3), np.float32))
        assert model.get_layer("up_1_conv").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == "float32"


def test_a_file_that_is_not_there():
    with pytest.raises(UserError, match="trainer.encoder.weights: there is no file .*nowhere.h5"):
        encoders.check_weights(EncoderConfig(weights="/nowhere.h5"), (64, 64))


def test_weights_that_do_not_fit(weights_file, tmp_path):
    with pytest.raises(UserError, match="does not fit MobileNetV2 without top, alpha 1.0"):
        encoders.check_weights(EncoderConfig(weights=weights_file, alpha=1.0), (64, 64))
    text = tmp_path / "readme.h5"
    text.write_text("not HDF5")
    with pytest.raises(UserError, match="readme.h5 does not fit"):
        encoders.check_weights(EncoderConfig(weights=str(text)), (64, 64))


def test_a_download_that_fails(monkeypatch):
    def refuse(*args, **kwargs):
        raise Exception("URL fetch failure on https://…: None -- no route to host")

    monkeypatch.setattr(mobilenet_v2.file_utils, "get_file", refuse)
    with pytest.raises(UserError, match="imagenet.*can't be had: URL fetch.*give its path"):
        encoders.check_weights(EncoderConfig(weights="imagenet"), (128, 128))
