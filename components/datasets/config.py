"""Where the pictures and masks of an `image_folder` lie."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from components.common import schema

IMAGE_FOLDER = "image_folder"
Color = tuple[schema.Byte, schema.Byte, schema.Byte]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]


class FolderConfig(schema.Config):
    """A folder of pictures, and their masks: a folder of files with the pictures' names, or COCO
    annotations."""

    images: str = pydantic.Field(description="folder of the pictures, nested or not")
    masks: str | None = pydantic.Field(
        default=None, description="folder of the masks, nested as the pictures or not"
    )
    annotations: tuple[str, ...] = pydantic.Field(
        default=(),
        description="instead of `masks`: COCO annotation files (polygons, run lengths); a pixel's "
        "value is its category_id, 0 where there is none",
    )
    mask_suffix: str = pydantic.Field(
        default="", description="what a mask's name has more than its picture's, such as _mask"
    )
    colors: dict[schema.MaskValue, Color] = pydantic.Field(
        default_factory=dict,
        description="for masks in colours: mask value -> its colour [red, green, blue]",
    )
    split_by: Literal["hash", "folders", "lists"] = pydantic.Field(
        default="hash",
        description="`hash`: by the picture's name, so that a picture stays in its split when "
        "others come; `folders`: sub-folders train, validation (or val) and test; `lists`: files",
    )
    validation: Share = pydantic.Field(
        default=0.1, description="share of the pictures, where they are split by hash"
    )
    test: Share = pydantic.Field(
        default=0.1, description="share of the pictures, where they are split by hash"
    )
    lists: dict[Literal["train", "validation", "test"], str] = pydantic.Field(
        default_factory=dict,
        description="for `lists`: split -> text file with a picture's path in each line, relative "
        "to `images`, with or without its ending",
    )

    @pydantic.field_validator("annotations", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> FolderConfig:
        if bool(self.masks) == bool(self.annotations):
            raise ValueError("masks, annotations: one of them is needed, and only one")
        if self.annotations and (self.colors or self.mask_suffix):
            raise ValueError("colors, mask_suffix: they are for `masks`, not for `annotations`")
        if (self.split_by == "lists") != bool(self.lists):
            raise ValueError("lists: needed for `split_by: lists`, and for nothing else")
        if self.lists and set(self.lists) != set(schema.SPLITS):
            raise ValueError(f"lists: name a file for each of {', '.join(schema.SPLITS)}")
        if self.validation + self.test >= 1:
            raise ValueError("validation and test: nothing is left to train on")
        colors = list(self.colors.values())
        twice = next((color for color in colors if colors.count(color) > 1), None)
        if twice:
            raise ValueError(f"colors: {list(twice)} is listed twice")
        return self
