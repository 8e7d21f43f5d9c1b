"""Where the pictures and masks of an `image_folder` lie, and how they are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from components.common import schema
from components.common.picture_settings import PictureSettings

IMAGE_FOLDER = "image_folder"
Color = tuple[schema.Byte, schema.Byte, schema.Byte]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
SplitName = Literal["train", "validation", "test"]
RoundName = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
FORMS = ("masks", "annotations", "labelme", "yolo", "run_lengths")


class NamesConfig(schema.Config):
    """What file names have besides what a picture and its mask have in common."""

    image_prefix: str = pydantic.Field(default="", description="of the pictures, such as img_")
    image_suffix: str = pydantic.Field(
        default="",
        description="of the pictures, before their ending, such as _leftImg8bit; in _{split}, any "
        "word for a split, as in 21_training and 01_test",
    )
    mask_prefix: str = pydantic.Field(default="", description="of the masks, such as mask_")
    mask_ending: str = pydantic.Field(
        default="", description="of the masks, such as .png, where pictures end otherwise"
    )


class MaskValuesConfig(schema.Config):
    """What a mask file's pixels mean, where they are not simply the classes' values."""

    recode: dict[float, schema.MaskValue] = pydantic.Field(
        default_factory=dict,
        description="value in the file -> the value that is meant, such as {254: 255} or, for "
        "floats, {0.5: 1}; values that are not listed stay",
    )
    nearest: bool = pydantic.Field(
        default=False,
        description="for smooth or lossy edges: each pixel gets the value of the nearest "
        "colour of `colors`, or grey level",
    )
    transparent: schema.MaskValue | None = pydantic.Field(
        default=None,
        description="the value of fully transparent pixels, whatever their colour; null: "
        "transparency means nothing",
    )
    alpha: bool = pydantic.Field(
        default=False, description="the transparency itself is the mask: 255 where it is opaque"
    )
    instances: bool = pydantic.Field(
        default=False,
        description="the values are numbers of things, not classes: all above 0 become 1 (of "
        "colours, all but that of 0 in `colors`)",
    )
    size_tolerance: int = pydantic.Field(
        default=0,
        ge=0,
        le=16,
        description="pixels by which a mask may be larger or smaller than its picture: it is cut, "
        "or continued, at its right and lower edge",
    )

    resized: bool = pydantic.Field(
        default=False,
        description="masks of another resolution than their pictures, but of their shape (half "
        "or double the size, …), are made as large as the pictures, nearest neighbour",
    )


class BorrowConfig(schema.Config):
    """Where a split that the data does not have is taken from."""

    split: SplitName = pydantic.Field(description="the split that gives some of its pictures")
    share: Annotated[float, pydantic.Field(gt=0, lt=1)] = pydantic.Field(
        description="share of its pictures, chosen by a hash of their names"
    )


class FolderConfig(schema.Config):
    """A folder of pictures, and what tells their classes: mask files, or a tool's annotations."""

    images: str = pydantic.Field(
        description="folder of the pictures, nested or not; * stands for any part of a folder's "
        "name, as in data/*/images"
    )
    masks: str | None = pydantic.Field(
        default=None, description="folder of the masks, nested as the pictures or not; * likewise"
    )
    annotations: tuple[str, ...] = pydantic.Field(
        default=(),
        description="instead of `masks`: COCO annotation files (polygons, run lengths); a pixel's "
        "value is its category_id, 0 where there is none",
    )
    labelme: str | None = pydantic.Field(
        default=None, description="instead of `masks`: folder of labelme's JSON files"
    )
    yolo: str | None = pydantic.Field(
        default=None,
        description="instead of `masks`: folder of Ultralytics' text files of polygons; a pixel's "
        "value is its class's number + 1, 0 where there is none",
    )
    run_lengths: str | None = pydantic.Field(
        default=None,
        description="instead of `masks`: CSV file with a column of run lengths (Kaggle's "
        "EncodedPixels)",
    )
    run_order: Literal["columns", "rows"] = pydantic.Field(
        default="columns",
        description="for `run_lengths`: whether pixels are counted down the columns (Kaggle's "
        "usual way) or along the rows",
    )
    run_start: Literal[0, 1] = pydantic.Field(
        default=1, description="for `run_lengths`: the number of the first pixel"
    )
    labels: dict[str, schema.MaskValue] = pydantic.Field(
        default_factory=dict,
        description="for `labelme`, `run_lengths` and `mask_parts: classes`: label -> mask value; "
        "what is not listed is an error",
    )
    boxes: Literal["leave_out", "draw", "ignore"] = pydantic.Field(
        default="leave_out",
        description="annotations that have a box but no shape: `leave_out` their pictures, `draw` "
        "the whole box, or `ignore` them",
    )
    mask_suffix: str = pydantic.Field(
        default="", description="what a mask's name has more than its picture's, such as _mask"
    )
    names: NamesConfig = NamesConfig()
    mask_parts: Literal["one", "united", "classes"] = pydantic.Field(
        default="one",
        description="`united`: a picture may have several masks, one for each thing (name_1, "
        "name_2, or a folder of its own); what is above 0 in one of them is its value. `classes`: "
        "one mask for each class, in a folder or with a suffix of the class's name (`labels`)",
    )
    colors: dict[schema.MaskValue, Color] = pydantic.Field(
        default_factory=dict,
        description="for masks in colours: mask value -> its colour [red, green, blue]",
    )
    mask_values: MaskValuesConfig = MaskValuesConfig()
    pictures: PictureSettings = PictureSettings()
    split_by: Literal["hash", "folders", "lists", "annotations", "names"] = pydantic.Field(
        default="hash",
        description="`hash`: by the picture's name, so that a picture stays in its split when "
        "others come; `folders`: by folders called train, val, test and the like, the others are "
        "train; `lists`: files; `annotations`: by the name of the annotation file; `names`: by the "
        "first or last word of the pictures' names, as in test_03.png",
    )
    validation: Share = pydantic.Field(
        default=0.1, description="share of the pictures, where they are split by hash"
    )
    test: Share = pydantic.Field(
        default=0.1, description="share of the pictures, where they are split by hash"
    )
    borrow: dict[SplitName, BorrowConfig] = pydantic.Field(
        default_factory=dict,
        description="for data without one of the splits: split -> the split that it takes a share "
        "of, such as test: {split: validation, share: 0.5}",
    )
    lists: dict[SplitName, str] = pydantic.Field(
        default_factory=dict,
        description="for `lists`: split -> text file with a picture's path in each line, relative "
        "to `images`, with or without its ending; or a table (.csv, .tsv, .json), which may be the "
        "same for all splits if it has a column called split. Without `train`, what no list names "
        "is train",
    )

    rounds: dict[RoundName, str] = pydantic.Field(
        default_factory=dict,
        description="round of labelling -> list of its pictures, as for `lists`, but of pictures "
        "of one name those below the list's own folder are meant; what none names is of round "
        "`first`. The examples tell of each picture which round it came in, and "
        "`features.slice_by: [round]` has each round evaluated",
    )

    @pydantic.field_validator("annotations", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> FolderConfig:
        if sum(bool(getattr(self, form)) for form in FORMS) != 1:
            raise ValueError(f"{', '.join(FORMS)}: one of them is needed, and only one")
        if not self.masks and (self.colors or self.mask_suffix):
            raise ValueError("colors, mask_suffix: they are for `masks`, not for `annotations`")
        if (self.split_by == "lists") != bool(self.lists):
            raise ValueError("lists: needed for `split_by: lists`, and for nothing else")
        for name in schema.SPLITS:
            named = {*self.lists, *self.borrow, schema.TRAIN}
            if self.lists and name not in named:
                raise ValueError(f"lists: name a file for {name}, or `borrow` it")
        for name, borrowed in self.borrow.items():
            if borrowed.split in self.borrow:
                raise ValueError(f"borrow: {name} takes from {borrowed.split}, which borrows too")
        if self.validation + self.test >= 1:
            raise ValueError("validation and test: nothing is left to train on")
        if self.mask_parts == "classes" and not self.labels:
            raise ValueError("labels: needed for `mask_parts: classes`")
        if self.mask_values.instances and self.colors and list(self.colors) != [0]:
            raise ValueError(
                "mask_values.instances: of `colors`, only 0, the background, is needed"
            )
        if self.mask_values.nearest and not self.colors:
            raise ValueError("mask_values.nearest: it needs `colors`")
        colors = list(self.colors.values())
        twice = next((color for color in colors if colors.count(color) > 1), None)
        if twice:
            raise ValueError(f"colors: {list(twice)} is listed twice")
        return self
