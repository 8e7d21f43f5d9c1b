"""The page that shows a dataset before anything is trained."""

import unicodedata

import numpy as np
from PIL import Image
from scenes import names, save, scene

from pipeline import cli

COUNT = 24


def folder(root):
    """Pictures in folders of splits; one mask upside down, one empty, one picture in two splits."""
    for index, name in enumerate(names(COUNT)):
        image, mask, _ = scene(index)
        part = ("train", "train", "val", "test")[index % 4]
        if index == 4:
            mask = mask[::-1].copy()
        if index == 8:
            mask = mask * 0
        if index == 12:  # large, and upside down
            image, mask = (one.repeat(40, 0).repeat(40, 1) for one in (image, mask[::-1]))
        if index == 3:  # of test
            image, mask, _ = scene(0)
        save(root / part / "images" / f"{name}.png", image)
        save(root / part / "masks" / f"{name}.png", mask)


def test_the_page_shows_what_is_doubtful(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGLINE__DATASET__DATA_DIR", str(tmp_path / "tfds"))
    folder(tmp_path / "things")
    cli.main(["init", "things"])
    cli.main(["data", "look", "things.yaml", "--out", "page.html", "--pictures", "3"])
    assert capsys.readouterr().out.strip().endswith("page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    doubtful = page.split('<section id="doubtful">')[1].split("</section>")[0]
    figures = {
        name: part.split("</figure>")[0]
        for part in doubtful.split("<figure>")[1:]
        for name in names(COUNT)
        if f"{name}.png with its mask" in part or f"{name}.png" in part[:400]
    }
    assert "fits the picture&#39;s edges better upside down" in figures["s04"]
    assert "upside down" in figures["s12"]
    assert "all of one class" in figures["s08"]
    assert "the same as train/images/s00.png, which is trained on" in doubtful
    shares = np.mean([scene(i)[1] == 1 for i in range(COUNT) if i % 4 == 2])
    assert f"{shares:.1%}" in page  # of the validation split
    assert page.count("<figure>") >= 9 and Image.open(tmp_path / "things/val/images/s02.png")


def test_what_is_left_out_is_not_on_the_page_however_its_name_is_composed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGLINE__DATASET__DATA_DIR", str(tmp_path / "tfds"))
    names = [unicodedata.normalize("NFD", name) for name in "äöüé"]  # as Macs write them
    for index, name in enumerate(names):
        image, mask, _ = scene(index)
        part = ("train", "train", "val", "test")[index]
        save(tmp_path / "things" / part / "images" / f"{name}.png", image)
        save(tmp_path / "things" / part / "masks" / f"{name}.png", mask)
    cli.main(["init", "things"])
    listed = tmp_path / "list.txt"
    listed.write_text("train/images/ä.png", encoding="utf-8")
    monkeypatch.setenv("SEGLINE__DATASET__LEAVE_OUT", str(listed))
    cli.main(["data", "look", "things.yaml", "--out", "page.html"])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"train/images/{names[1]}.png" in page and f"{names[0]}.png" not in page


def test_the_page_tells_of_things_that_the_model_does_not_see(tmp_path, monkeypatch, capsys):
    """Nearest-neighbour resizing from 256 to 128 takes the odd rows and columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGLINE__DATASET__DATA_DIR", str(tmp_path / "tfds"))
    for index, name in enumerate(names(COUNT)):
        part = ("train", "val", "test")[index % 3]
        mask = np.zeros((256, 256), np.uint8)
        mask[11, 2 * index + 1] = 1
        mask[40 if part == "train" else 41, 2 * index + 1] = 1
        image = np.random.default_rng(index).integers(0, 255, (256, 256, 3)).astype(np.uint8)
        save(tmp_path / "dots" / part / "images" / f"{name}.png", image)
        save(tmp_path / "dots" / part / "masks" / f"{name}.png", mask)
    cli.main(["init", "dots"])
    told = (
        "of the 48 things of class object vanish at 128x128 (transform.image_size); at 256x256 0%"
    )
    assert f"17% {told}" in capsys.readouterr().out
    cli.main(["data", "look", "dots.yaml", "--out", "page.html"])
    page = (tmp_path / "page.html").read_text()
    assert "train: 50% of the 16 things of class object vanish at 128x128" in page
    assert (
        "validation: " not in page.split("The model does not see all things")[1].split("</ul>")[0]
    )
