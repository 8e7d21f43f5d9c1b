"""Presets in folders, as KerasHub itself writes them; Kaggle is asked for nothing."""

import json
import shutil

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf
from statistics_of_norms import with_statistics

from components.common import provenance
from components.common.errors import UserError
from components.trainer import encoders, unet
from components.trainer.as_served import FoldedBatchNormalization, as_served
from components.trainer.batch_norm import BatchNormalization, batch_norms
from components.trainer.config import DecoderConfig, EncoderConfig

pytestmark = pytest.mark.slow

SIZE = (64, 96)
DECODER = DecoderConfig(filters=(8, 8, 8, 8))
SCALE, OFFSET = [0.017, 0.018, 0.0175], [-2.1, -2.0, -1.8]


def resnet():
    from keras_hub.models import ResNetBackbone

    return ResNetBackbone(
        [64],
        [7],
        [64, 16, 16, 32],
        [1, 1, 1, 1],
        [1, 2, 2, 2],
        "basic_block",
        image_shape=(32, 32, 3),
    )


def efficientnet():
    """Depthwise convolutions, squeeze and excitation."""
    from keras_hub.models import EfficientNetBackbone

    return EfficientNetBackbone(
        stackwise_width_coefficients=[0.25] * 7,
        stackwise_depth_coefficients=[0.5] * 7,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        stackwise_squeeze_and_excite_ratios=[0.25] * 7,
        stackwise_block_types=["v1"] * 7,
        input_shape=(32, 32, 3),
    )


def mobilenet():
    """Its BatchNorm layers are within others, which rename themselves when they are copied."""
    from keras_hub.models import MobileNetBackbone

    return MobileNetBackbone(
        stackwise_expansion=[[16], [32], [32], [32]],
        stackwise_num_blocks=[1] * 4,
        stackwise_num_filters=[[16], [16], [16], [16]],
        stackwise_kernel_size=[[3]] * 4,
        stackwise_num_strides=[[2]] * 4,
        stackwise_se_ratio=[[None], [0.25], [0.25], [0.25]],
        stackwise_activation=[["relu"], ["hard_swish"], ["hard_swish"], ["hard_swish"]],
        stackwise_padding=[[1]] * 4,
        output_num_filters=32,
        depthwise_filters=16,
        depthwise_stride=1,
        depthwise_residual=True,
        last_layer_filter=32,
        squeeze_and_excite=0.5,
        input_num_filters=16,
        image_shape=(32, 32, 3),
    )


def mix_transformer():
    """SegFormer's network, which begins at a quarter of the size."""
    from keras_hub.models import MiTBackbone

    return MiTBackbone(
        layerwise_depths=[1] * 4,
        num_layers=4,
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[8, 16, 20, 32],
        image_shape=(64, 64, 3),
    )


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Name -> folder; that of the ResNet has preprocessing too."""
    from keras_hub.layers import ResNetImageConverter

    folders = {}
    for make in (resnet, efficientnet, mobilenet, mix_transformer):
        keras.utils.set_random_seed(1)
        folders[make.__name__] = tmp_path_factory.mktemp(make.__name__)
        make().save_to_preset(str(folders[make.__name__]))
    ResNetImageConverter(image_size=(32, 32), scale=SCALE, offset=OFFSET).save_to_preset(
        str(folders["resnet"])
    )
    return folders


def config(preset, **more):
    return EncoderConfig(name="keras_hub", preset=str(preset), **more)


def of_folder(folder, pictures):
    """The features at 1/32, by KerasHub alone, of pictures in [0, 255]."""
    import keras_hub

    network = keras_hub.models.Backbone.from_preset(str(folder), image_shape=(*SIZE, 3))
    return network.predict_on_batch(pictures)


def test_the_encoder_sees_and_gives_what_the_preset_does(presets):
    pictures = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    model = unet.build_unet(3, SIZE, config(presets["resnet"]), DECODER)
    encoder = model.get_layer(encoders.ENCODER_NAME)
    deepest = keras.Model(model.input, encoder(model.get_layer("input_range").output)[-1])
    expected = of_folder(presets["resnet"], 255 * pictures * SCALE + OFFSET)
    np.testing.assert_allclose(deepest.predict_on_batch(pictures), expected, atol=1e-4)
    assert encoder.trainable_weights == []
    assert model(pictures).shape == (2, *SIZE, 3)


def test_a_preset_without_preprocessing_takes_the_input_range(presets):
    scaling = encoders.input_scaling(config(presets["efficientnet"], input_range=(-1, 1)))
    assert (scaling.scale, scaling.offset) == ((2, 2, 2), (-1, -1, -1))
    with pytest.raises(UserError, match="input_range: .* does not say what it was trained on"):
        encoders.check_weights(config(presets["efficientnet"], input_range="as_trained"), SIZE)


@pytest.mark.parametrize("name", ["resnet", "efficientnet"])
def test_skips_halve_the_size(presets, name):
    encoder = encoders.build_encoder(SIZE, config(presets[name], weights="none"))
    assert [output.shape[1:3] for output in encoder.outputs] == [
        (SIZE[0] // stride, SIZE[1] // stride) for stride in encoders.STRIDES
    ]
    assert encoder.trainable


@pytest.mark.parametrize("name", ["resnet", "efficientnet"])
def test_fine_tuning_leaves_batch_norm_alone(presets, name):
    model = unet.build_unet(3, SIZE, config(presets[name]), DECODER)
    encoder = model.get_layer(encoders.ENCODER_NAME)
    unet.unfreeze_encoder(model)
    norms = batch_norms(encoder)
    assert len(norms) > 5 and encoder.trainable_weights
    before = [weight.numpy() for norm in norms for weight in norm.weights]
    kernel = encoder.trainable_weights[0].numpy()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    model.fit(
        rng.random((2, *SIZE, 3), np.float32), rng.integers(0, 3, (2, *SIZE)), epochs=2, verbose=0
    )
    after = [weight.numpy() for norm in norms for weight in norm.weights]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert not np.array_equal(kernel, encoder.trainable_weights[0].numpy())


def test_mixed_precision_reaches_the_preset(presets):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = encoders.build_encoder(SIZE, config(presets["resnet"]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert encoder.outputs[-1].dtype == "bfloat16"
    assert {weight.dtype for weight in encoder.weights} == {"float32"}


@pytest.mark.parametrize(
    ("name", "folded"),
    [("resnet", True), ("efficientnet", True), ("mobilenet", False)],  # False: not all
)
def test_the_saved_model_needs_nothing_of_keras_hub(presets, tmp_path, name, folded):
    """Nor has it bfloat16, which the network was trained in."""
    encoder = config(presets[name], input_range=(-1, 1))
    model = with_statistics(unet.build_unet(3, SIZE, encoder, DECODER))
    assert {type(norm) for norm in batch_norms(model)} == {BatchNormalization}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trained = unet.build_unet(3, SIZE, encoder, DECODER)
    finally:
        keras.config.set_dtype_policy("float32")
    trained.set_weights(model.get_weights())
    served = as_served(trained, encoder, DECODER)
    kinds = {type(norm) for norm in batch_norms(served)}
    assert (kinds == {FoldedBatchNormalization}) == folded
    served.export(str(tmp_path / "saved"), verbose=False)
    pictures = np.random.default_rng(0).random((1, *SIZE, 3), np.float32)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    expected = model.predict_on_batch(pictures)
    np.testing.assert_allclose(saved.serve(pictures), expected, atol=1e-4 * np.abs(expected).max())


def test_a_preset_sees_other_sizes_by_the_same_layers(presets):
    sizes = [SIZE, (96, 128)]
    for name in ("resnet", "efficientnet"):
        encoder = config(presets[name], input_range=(-1, 1))
        model = with_statistics(unet.build_unet(3, SIZE, encoder, DECODER))
        served = as_served(model, encoder, DECODER, sizes=sizes)
        assert served.count_params() == model.count_params()
        pictures = np.random.default_rng(0).random((1, *SIZE, 3), np.float32)
        found = []
        for size in sizes:
            other = unet.build_unet(3, size, encoder, DECODER)
            other.set_weights(model.get_weights())
            logits = other(tf.image.resize(pictures, size), training=False)
            found.append(tf.image.resize(logits, SIZE).numpy())
        wanted = np.mean(found, 0)
        tolerance = 1e-4 * np.abs(wanted).max()
        assert np.abs(found[0] - found[1]).max() > 10 * tolerance
        np.testing.assert_allclose(served.predict_on_batch(pictures), wanted, atol=tolerance)


def test_a_transformer_that_begins_at_a_quarter_is_refused(presets):
    with pytest.raises(UserError, match="has no features at 1/2 of the picture's size"):
        encoders.check_weights(config(presets["mix_transformer"]), SIZE)


def test_what_is_no_preset_is_one_clear_error(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"class_name": "nonsense"}))
    for preset in (str(tmp_path), "there_is_no_such_preset"):
        with pytest.raises(UserError, match=f"trainer.encoder.preset: `{preset}` can't be had"):
            encoders.check_weights(config(preset, weights="none"), SIZE)


def test_damaged_weights_are_told_as_such(presets, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(presets["resnet"], folder)
    (folder / "model.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(UserError, match=f"`{folder}` can't be had: .*(file|weights|open)"):
        encoders.check_weights(config(folder), SIZE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "keras_hub"}, "go together"),
        ({"preset": "resnet_18_imagenet"}, "go together"),
        (
            {"name": "keras_hub", "preset": "resnet_18_imagenet", "weights": "w.h5"},
            "`imagenet` \\(the preset's\\) or `none`",
        ),
    ],
)
def test_settings_that_do_not_fit_together(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        EncoderConfig(**settings)


def test_other_weights_in_the_folder_are_another_fingerprint(tmp_path):
    assert provenance.file_fingerprint(str(tmp_path / "nothing")) == ""
    (tmp_path / "a").write_bytes(b"1")
    first = provenance.file_fingerprint(str(tmp_path))
    (tmp_path / "a").write_bytes(b"2")
    assert len(first) == 16 and provenance.file_fingerprint(str(tmp_path)) != first
