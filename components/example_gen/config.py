"""Which dataset, which splits, which features."""

from __future__ import annotations

import re
from typing import Any

import pydantic

from components.common import schema
from components.common.bands import BandsConfig
from components.common.picture_settings import PictureSettings
from components.datasets.config import IMAGE_FOLDER, FolderConfig


class SplitsConfig(schema.Config):
    """A TFDS split expression for each of the pipeline's splits.

    See https://www.tensorflow.org/datasets/splits for the syntax
    (`train`, `train[:90%]`, `train[90%:]+extra`).
    """

    train: str = pydantic.Field(default="train[:90%]", description="what the model learns from")
    validation: str = pydantic.Field(default="train[90%:]", description="looked at each epoch")
    test: str = pydantic.Field(default="test", description="what the blessing is decided on")


class FeaturesConfig(schema.Config):
    """Which of the dataset's features play which part."""

    image: str = pydantic.Field(default="image", description="the picture, an Image feature")
    mask: str = pydantic.Field(
        default="segmentation_mask", description="its mask, an Image feature of raw values"
    )
    example_id: str | None = pydantic.Field(
        default=None,
        description="a text feature; without one, TFDS's own id (shard and position) is taken",
    )
    slice_by: tuple[str, ...] = pydantic.Field(
        default=(),
        description="text, label or integer features that the evaluation is sliced by",
    )

    @pydantic.field_validator("slice_by")
    @classmethod
    def _no_reserved_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        reserved = {*schema.ENCODED_FEATURES, schema.HEIGHT, schema.WIDTH}
        reserved |= {schema.BRIGHTNESS, schema.OBJECT_SIZE}
        for name in names:
            if name in reserved:
                raise ValueError(f"{name!r} is a name that segline uses itself")
        return names


class BadExamplesConfig(schema.Config):
    """What counts as an example that can't be used, and how many of them are too many."""

    max_fraction: float = pydantic.Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of a split that may be set aside; more stops the run",
    )
    must_show: tuple[str, ...] = pydantic.Field(
        default=(),
        description="classes of which a mask must show one; none: masks may be empty",
    )
    max_pixels: pydantic.PositiveInt = pydantic.Field(
        default=100_000_000,
        description="width x height above which a picture is not decoded: a few bytes can say "
        "that they are gigabytes",
    )


class LeaksConfig(schema.Config):
    """Pictures of the validation and test splits that are in the training split too."""

    distance: int = pydantic.Field(
        default=3,
        ge=0,
        le=15,
        description="bits of 64 by which the perceptual hashes of two pictures may differ to "
        "count as the same picture; 0: only the most alike",
    )
    max_fraction: float | None = pydantic.Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the test split that may be in the training split too; more stops "
        "the run. null: it is only told, as for the validation split",
    )


class DatasetConfig(schema.Config):
    """The dataset, by TFDS name and version, and what is taken from it."""

    name: str = pydantic.Field(
        description="TFDS name, such as oxford_iiit_pet; or image_folder, with `folder` below"
    )
    folder: FolderConfig | None = pydantic.Field(
        default=None, description="for `name: image_folder`: where pictures and masks lie"
    )
    version: str = pydantic.Field(
        default="*.*.*", description="TFDS version, such as `4.*.*`; `*` stands for the newest"
    )
    data_dir: str | None = pydantic.Field(
        default=None,
        description="folder where TFDS keeps prepared datasets; default: TFDS's own "
        "(TFDS_DATA_DIR or ~/tensorflow_datasets). Relative to the working directory.",
    )
    download: bool = pydantic.Field(
        default=True, description="download and prepare the dataset where it is not prepared yet"
    )
    bands: BandsConfig | None = pydantic.Field(
        default=None,
        description="for pictures of other than three bands of 8 bits, all of which the model "
        "sees; null: what a viewer shows of them, in red, green and blue",
    )
    leave_out: str | None = pydantic.Field(
        default=None,
        description="file that names examples to leave out of all splits: an id in each line, or "
        "the CSV of `segline label check`, of which it takes the rows with yes in column leave_out",
    )
    splits: SplitsConfig = SplitsConfig()
    features: FeaturesConfig = FeaturesConfig()
    bad_examples: BadExamplesConfig = BadExamplesConfig()
    leaks: LeaksConfig = LeaksConfig()
    examples_per_shard: pydantic.PositiveInt = pydantic.Field(
        default=500, description="examples in one output file; files are written in parallel"
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _defaults_of_a_folder(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == IMAGE_FOLDER:
            values = {**values, "splits": values.get("splits") or {s: s for s in schema.SPLITS}}
            features = values.get("features") or {}
            if isinstance(features, dict):
                values["features"] = {"example_id": "file_name", **features}
        return values

    @pydantic.model_validator(mode="after")
    def _folder_or_name(self) -> DatasetConfig:
        if (self.name == IMAGE_FOLDER) != (self.folder is not None):
            raise ValueError(f"folder: needed for `name: {IMAGE_FOLDER}`, and for nothing else")
        return self

    @pydantic.model_validator(mode="after")
    def _one_way_to_take_bands(self) -> DatasetConfig:
        told = self.folder.pictures if self.folder else PictureSettings()
        if self.bands and (told.bands or told.value_range):
            raise ValueError(
                "bands: it takes bands and values as they are; leave folder.pictures.bands and "
                "value_range out, which make red, green and blue of 8 bits of them"
            )
        return self

    @pydantic.field_validator("version")
    @classmethod
    def _version(cls, version: str) -> str:
        if not re.fullmatch(r"(\d+|\*)\.(\d+|\*)\.(\d+|\*)", version):
            raise ValueError(f"{version!r} is no TFDS version; write 4.0.0 or 4.*.*")
        return version
