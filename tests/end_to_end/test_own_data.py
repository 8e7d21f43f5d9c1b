"""Data as people have it, through the whole chain."""

import json
import os

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
import tensorflow_datasets as tfds
import tifffile
import yaml
from PIL import Image

from components.common.network import take_network
from components.common.served_model import ServedModel
from components.datasets.synthetic_pets import BACKGROUND, draw_pet
from components.evaluator.verdict import read_verdict
from components.example_gen import quarantine

SMALL = {
    "SEGLINE__TRANSFORM__IMAGE_SIZE": "[32, 32]",
    "SEGLINE__TRAINER__ENCODER": "{weights: none, alpha: 0.35}",
    "SEGLINE__TRAINER__DECODER__FILTERS": "[8, 8, 8, 8]",
    "SEGLINE__TRAINER__EPOCHS": "1",
    "SEGLINE__TRAINER__BATCH_SIZE": "8",
    "SEGLINE__TRAINER__SAMPLE_PICTURES": "1",
    "SEGLINE__EVALUATOR__MIN_MEAN_IOU": "0",
}


def latest(place, name, step, key):
    folder = place.folder / "runs" / name / "artifacts" / step / key
    return str(max(folder.iterdir(), key=lambda path: int(path.name)))


def test_a_folder_of_grey_pictures_and_gif_masks_of_which_some_are_bad(
    new_workplace, encode_picture
):
    """Carvana's way: 0 and 255. From `segline init` to a pushed model."""
    place = new_workplace("folder")
    images, masks = place.folder / "cars/images", place.folder / "cars/masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for index in range(80):
        name = "<u>5" if index == 5 else str(index)  # nobody's page may take it for its own
        picture, truth, _ = draw_pet(index)
        Image.fromarray(picture).convert("L").save(images / f"{name}.jpg")
        outline = Image.fromarray(np.where(truth == BACKGROUND, 0, 255).astype(np.uint8))
        outline.save(masks / f"{name}_mask.gif")
    (images / "3.jpg").write_bytes((images / "3.jpg").read_bytes()[:500])
    Image.new("L", (7, 7)).save(masks / "<u>5_mask.gif")

    refused = place.call("segline", "init", "cars")
    assert refused.returncode == 1 and not (place.folder / "cars.yaml").exists()
    assert "pictures can't be used" in refused.stderr + refused.stdout
    made = place.call("segline", "init", "cars", "--leave-out")
    assert made.returncode == 0 and "3.jpg" in made.stdout
    left_out = (place.folder / "cars-leave-out.txt").read_text()
    assert sorted(left_out.splitlines()) == ["3.jpg", "<u>5.jpg"]
    assert place.call("segline", "config", "check", "cars.yaml").returncode == 0
    config = {
        **SMALL,
        "SEGLINE_CONFIG": "cars.yaml",
        "SEGLINE__DATASET__DATA_DIR": "tfds",
        "SEGLINE__DATASET__LEAVE_OUT": "null",  # as if they had gone bad since
        "SEGLINE__DATASET__BAD_EXAMPLES__MAX_FRACTION": "0.5",
        "SEGLINE__TRAINER__SERVING__FLIP": "true",
        "SEGLINE__TRAINER__SERVING__SCALES": "[1, 2]",
    }
    stopped = place.run(**config | {"SEGLINE__DATASET__BAD_EXAMPLES__MAX_FRACTION": "0.01"})
    assert stopped.returncode == 1 and "Traceback" not in stopped.stdout
    assert "examples of split" in stopped.stdout and "max_fraction allows 1.0%" in stopped.stdout
    assert "5.jpg: the mask is 7x7, the image" in stopped.stdout

    ran = place.run(**config)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "can't be used and were set aside" in ran.stdout
    examples = latest(place, "cars", "TfdsExampleGen", "examples")
    told = {
        one.example_id: one.reason
        for bad in quarantine.read_report(examples).values()
        for one in bad
    }
    assert set(told) == {"3.jpg", "<u>5.jpg"}
    data = json.loads(place.call("segline", "lineage", "model", "--json", **config).stdout)["data"]
    assert sum(data["examples"].values()) == 78
    report = (place.folder / "runs/cars/report.html").read_text()
    assert "were set aside" in report and told["<u>5.jpg"] in report
    assert "&lt;u&gt;5.jpg" in report and "<u>5.jpg" not in report

    model = ServedModel(str(place.folder / "runs/cars"))
    assert model.classes.names == ("background", "object")
    picture = draw_pet(0)[0]
    found, mirrored = model.predict([encode_picture(one) for one in (picture, picture[:, ::-1])])
    assert found.mask.shape == picture.shape[:2]
    np.testing.assert_array_equal(found.mask, mirrored.mask[:, ::-1])
    assert found.confidence == pytest.approx(mirrored.confidence, abs=1e-5)
    network = take_network(model.saved_model, (32, 32))
    views = {name for node in network.graph.node for name in node.name.split("/") if "view" in name}
    assert any(name.startswith("view_64x64") for name in views), views


def test_21_classes_in_masks_of_16_bits(new_workplace, make_dataset, encode_picture):
    """Cityscapes' way: ids with gaps, and one for pixels that don't count."""
    ids = [7 + 100 * index for index in range(21)]
    ignored = 65535
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(48):
        blocks = rng.choice([*ids, ignored], (4, 4)).astype(np.uint16)
        mask = blocks.repeat(8, 0).repeat(8, 1)
        image = np.stack([mask % 251, mask // 9 % 256, mask % 89], -1).astype(np.uint8)
        pairs.append((encode_picture(image), encode_picture(mask)))
    feature = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16)
    data_dir = make_dataset("wide", pairs, mask_feature=feature)
    place = new_workplace("wide")
    config = {
        "name": "wide",
        "dataset": {
            "name": "wide",
            "data_dir": data_dir,
            "splits": {"train": "train", "validation": "test[:50%]", "test": "test[50%:]"},
            "features": {"example_id": "file_name", "slice_by": ["kind"]},
            "leaks": {"max_fraction": None},  # the dataset's two splits are the same pictures
        },
        "classes": {
            "values": {f"class_{value}": value for value in ids},
            "ignore_values": [ignored],
        },
    }
    (place.folder / "wide.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ran = place.run(SEGLINE_CONFIG="wide.yaml", **SMALL)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    evaluation = latest(place, "wide", "Evaluator", "evaluation")
    overall = read_verdict(evaluation).overall

    # The same from the dataset's own masks, by NumPy.
    (version,) = os.listdir(place.folder / "runs/wide/serving")
    model = tf.saved_model.load(str(place.folder / "runs/wide/serving" / version))
    builder = tfds.builder("wide", data_dir=data_dir)
    right = total = 0
    skip = {"image": tfds.decode.SkipDecoding()}
    for element in builder.as_dataset("test[50%:]", decoders=skip).as_numpy_iterator():
        image = tf.constant([element["image"]])
        guess = model.signatures["serving_default"](image_bytes=image)["mask"].numpy()[0]
        truth = element["segmentation_mask"][..., 0]
        counted = truth != ignored
        right += np.sum(np.array(ids)[guess[counted]] == truth[counted])
        total += counted.sum()
    assert overall["pixel_accuracy"] == pytest.approx(right / total, abs=1e-6)


def _train_names(place):
    """The pictures in the written examples of the training split."""
    folder = os.path.join(latest(place, "my_lab", "TfdsExampleGen", "examples"), "Split-train")
    files = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return {
        tf.train.Example.FromString(record).features.feature["example_id"].bytes_list.value[0]
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    }


def test_pictures_of_12_bits_from_init_to_whoever_asks_the_model(new_workplace, small_preset):
    """TIFFs of 0 to 4095 in a project folder with a space; PNGs of 16 bits at its signature."""
    place = new_workplace("twelve bits")
    for folder in ("images", "masks"):
        (place.folder / "my lab" / folder).mkdir(parents=True)
    for index in range(48):
        picture, truth, _ = draw_pet(index)
        deep = picture[..., 0].astype(np.uint16) << 4
        tifffile.imwrite(place.folder / f"my lab/images/{index}.tif", deep, byteorder=">")
        mask = np.where(truth == BACKGROUND, 0, 1).astype(np.uint8)
        mask[3:40:9, 3] = 1  # specks, too small for what the model sees
        Image.fromarray(mask).save(place.folder / f"my lab/masks/{index}.png")
    made = place.call("segline", "init", "my lab")
    assert made.returncode == 0 and "4095 (12 bits) is white" in made.stdout
    encoder = f"{{name: keras_hub, preset: {small_preset}, weights: none}}"
    config = {
        **SMALL,
        "SEGLINE_CONFIG": "my_lab.yaml",
        "SEGLINE__DATASET__DATA_DIR": "tfds",
        "SEGLINE__TRAINER__ENCODER": encoder,
        "SEGLINE__TRANSFORM__FIT": "stretch",
    }
    ran = place.run(**config)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = (place.folder / "runs/my_lab/report.html").read_text()
    trained, things, lost = _train_names(place), 0, 0
    for index in range(48):
        mask = np.asarray(Image.open(place.folder / f"my lab/masks/{index}.png"))
        # Where most of it is the object, the background's pieces are the things.
        if f"{index}.tif".encode() in trained and mask.mean() < 0.5:
            pieces, count = scipy.ndimage.label(mask)
            small = tf.image.resize(pieces[..., np.newaxis], (32, 32), method="nearest")
            things, lost = things + count, lost + count - len(np.unique(small)) + 1
    told = f"train: {lost / things:.0%} of the {things} things of class object vanish at 32x32"
    assert lost and told in report
    (version,) = os.listdir(place.folder / "runs/my_lab/serving")
    model = tf.saved_model.load(str(place.folder / "runs/my_lab/serving" / version))

    def ask(pixels):
        png = tf.io.encode_png(pixels[..., np.newaxis]).numpy()
        return model.signatures["serving_default"](image_bytes=tf.constant([png]))

    deep = tifffile.imread(place.folder / "my lab/images/0.tif")
    wide, narrow = ask(deep), ask((deep >> 4).astype(np.uint8))
    for key in ("mask_png_bytes", "confidence"):
        assert wide[key].numpy().tolist() == narrow[key].numpy().tolist()
    with pytest.raises(tf.errors.InvalidArgumentError, match="16 bits with values beyond 0 to"):
        ask(deep << 4)
    predicted = place.call("segline", "predict", "my lab/images/0.tif", "--out", "out", **config)
    assert predicted.returncode == 0, predicted.stderr
    mask = tf.io.decode_png(wide["mask_png_bytes"].numpy()[0]).numpy()[..., 0]
    np.testing.assert_array_equal(np.asarray(Image.open(place.folder / "out/0_mask.png")), mask)
