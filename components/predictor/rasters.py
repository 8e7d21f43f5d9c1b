"""GeoTIFFs of any size: read, segmented and written piece by piece, their place kept."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from components.common import palette, schema
from components.common.deep_pictures import range_of, to_8_bits
from components.common.picture_settings import PictureSettings
from components.common.served_model import ServedModel
from components.common.windows import Span, footprint, spans
from components.predictor.geojson import OBJECTS_ENDING, write_raster_objects
from components.predictor.overlay import overlay_image

if TYPE_CHECKING:
    import rasterio

_ENDINGS = (".tif", ".tiff")
_GEO_TAGS = (34735, 33550, 34264)  # key directory, pixel scale, transformation
_LARGE = 25_000_000  # pixels of a TIFF that is read in pieces though it has no place
_PIECE = 2048  # pixels of a piece's sides
_BLOCK = 512  # of the written file
_CACHE_BYTES = 128 * 2**20  # GDAL's; its own default is a share of the machine
_OVERVIEW = 1600  # longest side of the overlay


@dataclasses.dataclass(frozen=True)
class RasterResult:
    """What became of a raster.

    Attributes:
      size: width and height.
      shares: share of the pixels, by class; of those that have data.
      confidence: mean probability of the winning class.
      mask: path of the GeoTIFF with class indices; 255 where there is no data.
      overlay: path of the reduced picture with the mask over it.
      objects: how many were found, by class index.
      notes: what was decided that the file does not say.
    """

    size: tuple[int, int]
    shares: tuple[float, ...]
    confidence: float
    mask: str
    overlay: str
    objects: Mapping[int, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_raster(path: str) -> bool:
    """Whether a file is a TIFF that has a place on the earth, or is large; by its header."""
    if not path.lower().endswith(_ENDINGS):
        return False
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            placed = any(tag in page.tags for tag in _GEO_TAGS)
            return placed or page.imagewidth * page.imagelength > _LARGE
    except Exception:  # of all kinds on damaged files: they are told as pictures are
        return False


def predict_raster(
    model: ServedModel, path: str, base: str, object_classes: Sequence[int] = ()
) -> RasterResult:
    """Segments a raster, and writes `_mask.tif` and `_overlay.jpg`, and perhaps `_objects.geojson`.

    The mask has the raster's coordinate system and transform. Memory is that of a piece: of
    a model that sees windows each piece is asked for what the whole would give, pixel by pixel.

    Args:
      model: the model.
      path: of the raster.
      base: path of the results without their endings.
      object_classes: indices of the classes whose connected objects are wanted.

    Raises:
      OSError: rasterio is not installed, the raster can't be read, its bands or values are not
        what the model takes, or the results can't be written.
    """
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise OSError(
            "it is a raster, which takes rasterio: pip install 'segline[rasters]'"
        ) from error
    os.makedirs(os.path.dirname(base) or ".", exist_ok=True)
    mask, overlay = f"{base}_mask.tif", f"{base}_overlay.jpg"
    part = f"{base}_mask.partial.tif"
    notes: list[str] = []
    unplaced = rasterio.errors.NotGeoreferencedWarning  # of those that are only large
    try:
        with (
            warnings.catch_warnings(action="ignore", category=unplaced),
            rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
            rasterio.open(path) as source,
        ):
            reader = _Reader(source, model.pictures, notes)
            pieces = _pieces(model, source.height, source.width)
            counts, sure = np.zeros(len(model.classes), np.int64), 0.0
            with _target(part, source, len(model.classes)) as target:
                for rows, columns in pieces:
                    found, confidence = _segment(model, reader, rows, columns)
                    own = np.bincount(found.ravel(), minlength=256)[: len(model.classes)]
                    counts += own
                    sure += confidence * int(own.sum())
                    target.write(found, 1, window=_window(rows, columns, kept=True))
            objects: Mapping[int, int] = {}
            if object_classes:
                objects_path = f"{base}{OBJECTS_ENDING}"
                objects = write_raster_objects(
                    part, object_classes, model.classes.names, objects_path, notes
                )
            _write_overlay(reader, part, overlay, len(model.classes))
            size = source.width, source.height
        os.replace(part, mask)
    except rasterio.errors.RasterioError as error:
        raise OSError(f"it can't be read or written as a raster: {error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
    total = max(int(counts.sum()), 1)
    shares = tuple(np.round(counts / total, 6).tolist())
    return RasterResult(size, shares, sure / total, mask, overlay, objects, tuple(notes))


class _Reader:
    """Reads pieces of a raster as the model's pictures were read.

    Raises:
      OSError: its bands or values are not what the model takes.
    """

    def __init__(
        self, source: rasterio.DatasetReader, settings: PictureSettings, notes: list[str]
    ) -> None:
        from rasterio.enums import ColorInterp

        self._source = source
        self._bands = [
            band
            for band, kind in zip(source.indexes, source.colorinterp, strict=True)
            if kind != ColorInterp.alpha
        ]
        if ColorInterp.palette in source.colorinterp:
            raise OSError("a raster with a palette is not read: expand it (gdal_translate -expand)")
        self._settings = settings
        if np.dtype(source.dtypes[0]) != np.uint8 and settings.value_range is None:
            # One range for all pieces, as for a picture that is read whole.
            low, high = self._extremes()
            values = np.array([low, high], source.dtypes[0])
            found = range_of(values, notes)
            self._settings = settings.model_copy(update={"value_range": found})

    def piece(self, rows: Span, columns: Span) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [height, width, 3] and where there is data, bool [height, width]."""
        return self._read(window=_window(rows, columns))

    def overview(self) -> np.ndarray:
        """The whole, reduced: uint8 [height, width, 3]."""
        height, width = self._source.height, self._source.width
        scale = min(1.0, _OVERVIEW / max(height, width))
        shape = max(1, round(height * scale)), max(1, round(width * scale))
        return self._read(out_shape=shape)[0]

    def _read(self, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.moveaxis(self._source.read(self._bands, **how), 0, -1)
        there = self._source.dataset_mask(**how) > 0
        if not there.all():
            # Some value that is one; what becomes of it there is not kept.
            fill = self._settings.value_range[0] if self._settings.value_range else 0
            pixels = np.where(there[..., np.newaxis], pixels, np.asarray(fill, pixels.dtype))
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        shown = to_8_bits(pixels, self._settings, [])
        return np.asarray(Image.fromarray(shown).convert("RGB")), there

    def _extremes(self) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        height, width = self._source.height, self._source.width
        for rows in spans(height, _PIECE, 0, _PIECE):
            for columns in spans(width, _PIECE, 0, _PIECE):
                window = _window(rows, columns)
                there = self._source.dataset_mask(window=window) > 0
                values = self._source.read(self._bands, window=window)[:, there]
                if values.size:
                    low, high = min(low, values.min()), max(high, values.max())
        return (low, high) if low <= high else (0, 0)


def _pieces(model: ServedModel, height: int, width: int) -> Iterator[tuple[Span, Span]]:
    """What is sent to the model at a time.

    Raises:
      OSError: the model sees whole pictures, and this is too large for one.
    """
    if model.fit.fit == "tiles":
        size, overlap = footprint(model.fit.image_size, model.fit.tiles)
        columns = spans(width, size[1], overlap[1], _PIECE)
        return (
            (row, column)
            for row in spans(height, size[0], overlap[0], _PIECE)
            for column in columns
        )
    if height * width > _LARGE:
        raise OSError(
            f"{width}x{height} pixels are too many for a model that sees pictures whole: train "
            "one with `transform.fit: tiles`"
        )
    return iter([(Span(0, height, 0, height), Span(0, width, 0, width))])


def _segment(
    model: ServedModel, reader: _Reader, rows: Span, columns: Span
) -> tuple[np.ndarray, float]:
    """What is kept of a piece: uint8, IGNORE_INDEX where there is no data; and its confidence."""
    pixels, there = reader.piece(rows, columns)
    kept = np.s_[
        rows.keep_from - rows.begin : rows.keep_to - rows.begin,
        columns.keep_from - columns.begin : columns.keep_to - columns.begin,
    ]
    if not there[kept].any():  # (a scene's frame)
        return np.full(there[kept].shape, schema.IGNORE_INDEX, np.uint8), 0.0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    (prediction,) = model.predict_each([buffer.getvalue()])
    if isinstance(prediction, str):
        raise OSError(prediction)
    mask = np.where(there, prediction.mask, schema.IGNORE_INDEX).astype(np.uint8)
    return mask[kept], prediction.confidence


def _window(rows: Span, columns: Span, kept: bool = False) -> Any:
    from rasterio.windows import Window

    top, bottom = (rows.keep_from, rows.keep_to) if kept else (rows.begin, rows.end)
    left, right = (columns.keep_from, columns.keep_to) if kept else (columns.begin, columns.end)
    return Window(left, top, right - left, bottom - top)


@contextlib.contextmanager
def _target(path: str, source: rasterio.DatasetReader, num_classes: int) -> Iterator[Any]:
    """A GeoTIFF of one byte a pixel, where the source is."""
    import rasterio

    points, system = source.gcps
    place: dict[str, Any] = {"gcps": points, "crs": system} if points else {"crs": source.crs}
    if not source.transform.is_identity:
        place["transform"] = source.transform
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=1,
        height=source.height,
        width=source.width,
        nodata=schema.IGNORE_INDEX,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        compress="deflate",
        bigtiff="if_safer",
        **place,
    ) as target:
        colors = palette.class_colors(num_classes)[:num_classes].tolist()
        target.write_colormap(1, {index: tuple(color) for index, color in enumerate(colors)})
        yield target


def _write_overlay(reader: _Reader, mask_path: str, path: str, num_classes: int) -> None:
    import rasterio

    picture = reader.overview()
    with rasterio.open(mask_path) as mask:
        reduced = mask.read(1, out_shape=picture.shape[:2])
    overlay_image(Image.fromarray(picture), reduced, num_classes).save(path, quality=90)
