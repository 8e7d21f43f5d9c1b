"""Pictures with masks, drawn; and files as tools write them, from their documented formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 36, 48
VOC = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)], np.uint8)
Box = tuple[int, int, int, int]  # left, top, right, bottom


def scene(index: int) -> tuple[np.ndarray, np.ndarray, list[Box]]:
    """A picture, its mask (two boxes, 1 and 2), and the boxes; no two are alike."""
    rng = np.random.default_rng(1000 + index)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    boxes = []
    for value in (1, 2):
        left = int(rng.integers(2, 10)) + (value - 1) * 22
        top = int(rng.integers(2, 12))
        right, bottom = left + int(rng.integers(6, 14)), top + int(rng.integers(6, 20))
        mask[top:bottom, left:right] = value
        boxes.append((left, top, right, bottom))
    image = rng.uniform(20, 230, (3, 3))[mask] + rng.normal(0, 5, (HEIGHT, WIDTH, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask, boxes


def save(path: Path, content: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(content).save(path, **options)


def paletted(indices: np.ndarray, colors: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette(colors.astype(np.uint8).tobytes())
    return image


def names(count: int) -> list[str]:
    return [f"s{index:02d}" for index in range(count)]


def pictures(folder: Path, count: int, ending: str = "png") -> dict[str, np.ndarray]:
    """Saves pictures; name -> mask."""
    truths = {}
    for index, name in enumerate(names(count)):
        image, mask, _ = scene(index)
        save(folder / f"{name}.{ending}", image)
        truths[name] = mask
    return truths


def polygon(box: Box) -> list[list[float]]:
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def coco(file_names: dict[str, int], categories=((1, "cat"), (2, "dog"))) -> dict:
    """A COCO file's content: file name -> index of the scene."""
    data = {"images": [], "annotations": [], "categories": []}
    data["categories"] = [{"id": number, "name": name} for number, name in categories]
    for number, (file_name, index) in enumerate(file_names.items(), 1):
        entry = {"id": number, "file_name": file_name, "height": HEIGHT, "width": WIDTH}
        data["images"].append(entry)
        for (category, _), box in zip(categories[-2:], scene(index)[2], strict=True):
            left, top, right, bottom = box
            data["annotations"].append(
                {
                    "id": len(data["annotations"]) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": [left, top, right - left, bottom - top],
                    "segmentation": [[one for point in polygon(box) for one in point]],
                    "iscrowd": 0,
                }
            )
    return data


def write_json(path: Path, content: object, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding=encoding)
