"""Folders of drawn data in the forms that people have it in: `FORM(folder)` draws one.

What takes patterns, values or a function gives such a FORM.
"""

import itertools
import os

import numpy as np
import rasterio
import scenes
from PIL import Image
from rasterio.transform import Affine
from scenes import HEIGHT, VOC, WIDTH, names, paletted, save, scene
from surveys import COUNT, OWN, masks, parted


def placed(image, mask, image_of=lambda i: scene(i)[0], mask_of=lambda mask: mask):
    """Draws by patterns with {n} (name), {i} (number) and {s} (split)."""

    def draw(folder):
        for index, name in enumerate(names(COUNT)):
            fields = {"n": name, "i": index, "s": parted(index)}
            save(folder / image.format(**fields), image_of(index))
            save(folder / mask.format(**fields), mask_of(scene(index)[1]))

    return draw


def masked(make):
    return lambda folder: masks(folder, make)


def binary(mask):
    return ((mask > 0) * 255).astype(np.uint8)


def by_class(pattern):
    def draw(folder):
        for index, name in enumerate(names(COUNT)):
            image, mask, _ = scene(index)
            save(folder / f"images/{name}.png", image)
            for value, kind in ((1, "cat"), (2, "dog")):
                save(folder / pattern.format(n=name, c=kind), binary(mask == value))

    return draw


def each_its_folder(folder):
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / f"{name}/images/{name}.png", image)
        for value in (1, 2):
            save(folder / f"{name}/masks/{index * 10 + value:04x}.png", binary(mask == value))


def voc(folder):
    placed("JPEGImages/{n}.jpg", "SegmentationClass/{n}.png")(folder)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(VOC)], palette[255] = VOC, (224, 224, 192)
    for index, name in enumerate(names(COUNT)):
        paletted(bordered(scene(index)[1]), palette).save(folder / f"SegmentationClass/{name}.png")
        path = folder / f"ImageSets/Segmentation/{parted(index)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + f"{name}\n")


def bordered(mask):
    result = mask.copy()
    result[:, 1:][np.diff(mask.astype(int), axis=1) != 0] = 255
    return result


def with_file(draw, name, text):
    def both(folder):
        draw(folder)
        (folder / name).write_text(text)

    return both


def coco(name, edit=lambda content: None):
    def draw(folder):
        scenes.pictures(folder / "images", COUNT)
        content = scenes.coco({f"{name}.png": i for i, name in enumerate(names(COUNT))})
        edit(content)
        scenes.write_json(folder / name, content)

    return draw


def roboflow(folder):
    for index, name in enumerate(names(COUNT)):
        save(folder / parted(index) / f"{name}.png", scene(index)[0])
    for part in ("train", "val", "test"):
        files = {f"{name}.png": i for i, name in enumerate(names(COUNT)) if parted(i) == part}
        content = scenes.coco(files, ((0, "animals"), (1, "cat"), (2, "dog")))
        scenes.write_json(folder / part / "_annotations.coco.json", content)


def labelme(folder):
    for index, name in enumerate(names(COUNT)):
        image, _, boxes = scene(index)
        save(folder / f"{name}.png", image)
        shapes = [
            {"label": label, "shape_type": "polygon", "points": scenes.polygon(box)}
            for label, box in zip(("cat", "dog"), boxes, strict=True)
        ]
        shapes.append({"label": "nose", "shape_type": "point", "points": [[1, 1]]})
        scenes.write_json(folder / f"{name}.json", {"shapes": shapes, "imageData": None})


def yolo(folder):
    for index, name in enumerate(names(COUNT)):
        image, _, boxes = scene(index)
        save(folder / f"images/{parted(index)}/{name}.png", image)
        lines = [
            f"{number} "
            + " ".join(f"{x / WIDTH:.9f} {y / HEIGHT:.9f}" for x, y in scenes.polygon(box))
            for number, box in enumerate(boxes)
        ]
        path = folder / f"labels/{parted(index)}/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    (folder / "data.yaml").write_text("names: [cat, dog]\n")


def run_lengths(folder):
    lines = ["ImageId,ClassId,EncodedPixels"]
    for name, mask in scenes.pictures(folder / "train_images", COUNT).items():
        for value in (1, 2):
            column = np.r_[0, (mask == value).flatten("F"), 0].astype(int)
            first, last = (np.flatnonzero(np.diff(column) == step) for step in (1, -1))
            runs = " ".join(f"{a + 1} {b - a}" for a, b in zip(first, last, strict=True))
            lines.append(f"{name}.png,{value},{runs}")
    (folder / "train.csv").write_text("\n".join(lines))


def lists(ending):
    def draw(folder):
        placed("images/{n}.png", "masks/{n}.png")(folder)
        if ending == "csv":
            rows = [f"{name}.png,{part}" for name, part in OWN.items()]
            (folder / "all.csv").write_text("\n".join(["file,split", *rows]))
            return
        for part in ("train", "val", "test"):
            lines = [name for name in OWN if OWN[name] == part]
            (folder / f"{part}.txt").write_text("\n".join(lines))

    return draw


def own_palette(path, mask, index):
    order = np.random.default_rng(index).permutation(3)
    paletted(np.argsort(order).astype(np.uint8)[mask], VOC[order]).save(path.with_suffix(".png"))


def jpeg(content):
    return lambda path, mask, index: save(path.with_suffix(".jpg"), content(mask), quality=85)


def slips(files):
    def content(mask, index):
        values = mask.copy()
        values[0, :3] = 7 if index < files else 0
        return values

    return content


def numbered(mask, index):
    rng, values = np.random.default_rng(index), np.zeros_like(mask)
    for number, place in enumerate(rng.permutation(48)[: 6 + index], 1):
        y, x = divmod(int(place), 8)
        values[y * 6 : y * 6 + 4, x * 6 : x * 6 + 4] = number
    return values


def things(folder):
    for index, name in enumerate(names(COUNT)):
        save(folder / f"images/{name}.png", scene(index)[0])
        save(folder / f"masks/{name}.png", numbered(scene(index)[1], index))


def big_void(mask, index):
    values = mask.copy()
    values[: HEIGHT // 3] = 255
    return values


def deep(write):
    def draw(folder):
        placed("images/{n}.png", "masks/{n}.png")(folder)
        for index, name in enumerate(names(COUNT)):
            os.remove(folder / f"images/{name}.png")
            write(folder / f"images/{name}.tif", scene(index)[0])

    return draw


def lying(folder):
    """Phones' pictures, and masks of what a viewer shows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        save(folder / f"images/{name}.jpg", np.rot90(image), exif=exif, quality=95)
        save(folder / f"masks/{name}.png", mask)


def tiny(folder):
    for index, name in enumerate(names(COUNT)):
        values = np.zeros((256, 256), np.uint8)
        values[3 * index, 7:9] = 1
        save(folder / f"images/{name}.png", np.zeros((256, 256, 3), np.uint8))
        save(folder / f"masks/{name}.png", values)


def damaged(folder):
    placed("images/{n}.png", "masks/{n}.png")(folder)
    (folder / "masks/s00.png").write_bytes(b"")


def on_the_earth(folder, off=0):
    """GeoTIFFs as GDAL writes them; the first mask lies some pixels beside its picture."""
    place = Affine(0.5, 0, 691000, 0, -0.5, 5334000)
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        moved = place @ Affine.translation(0 if index else off, 0)
        for kind, pixels, transform in (("images", image, place), ("masks", mask, moved)):
            bands = np.moveaxis(np.atleast_3d(pixels), -1, 0)
            count, height, width = bands.shape
            size = {"count": count, "height": height, "width": width, "dtype": "uint8"}
            (folder / kind).mkdir(exist_ok=True)
            with rasterio.open(
                folder / kind / f"{name}.tif", "w", crs="EPSG:32632", transform=transform, **size
            ) as file:
                file.write(bands)


def written(path, content):
    def draw(folder):
        for place, name in itertools.product(("images", "masks"), names(COUNT)):
            (folder / place).mkdir(exist_ok=True)
            (folder / place / f"{name}{path}").write_bytes(content)

    return draw
