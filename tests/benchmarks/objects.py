"""What do the objects of a raster cost, in memory and processor time, by its side?

    python tests/benchmarks/objects.py [--sides 3000 12000]

draws masks with many blobs, and prints for each side, in a process of its own, what
`write_raster_objects` takes beyond what is loaded anyway, and what GDAL's polygonizing (by
rasterio, 8-connected) takes on the same mask without writing anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CACHE = 128 * 2**20  # of GDAL, as `segline predict` has it
TILE = 1000


def main() -> None:
    """Prints a line for each side and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=[3000, 12000])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "MASK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(*options.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        for side in options.sides:
            mask = f"{folder}/{side}.tif"
            draw(mask, side)
            for way in ("segline", "gdal"):
                print(f"{side}x{side}", end=" ", flush=True)
                subprocess.run([sys.executable, __file__, "--one", way, mask], check=True)


def draw(path: str, side: int) -> None:
    """A mask that repeats a tile of blobs, from one end to the other without a seam."""
    import numpy as np
    import rasterio
    import scipy.ndimage
    from rasterio.transform import Affine
    from rasterio.windows import Window

    noise = np.random.default_rng(0).random((TILE, TILE))
    tile = scipy.ndimage.gaussian_filter(noise, 4, mode="wrap") > 0.505
    row = np.tile(tile.astype(np.uint8), (1, -(-side // TILE)))[:, :side]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=1,
        height=side,
        width=side,
        crs="EPSG:32632",
        transform=Affine(0.5, 0, 691000, 0, -0.5, 5334000),
        tiled=True,
        blockxsize=512,
        blockysize=512,
        compress="deflate",
    ) as file:
        for top in range(0, side, TILE):
            height = min(TILE, side - top)
            file.write(row[:height], 1, window=Window(0, top, side, height))


def measure(way: str, mask: str) -> None:
    """In this process."""
    import rasterio
    from rasterio.features import shapes

    from components.predictor.geojson import write_raster_objects

    before, began = peak(), time.process_time()
    with rasterio.Env(GDAL_CACHEMAX=CACHE), rasterio.open(mask) as file:
        if way == "segline":
            out = f"{os.path.splitext(mask)[0]}.geojson"
            count = write_raster_objects(mask, [1], ["ground", "blob"], out, [])[1]
        else:
            found = shapes(rasterio.band(file, 1), connectivity=8)
            count = sum(value == 1 for _, value in found)
    seconds = time.process_time() - began
    print(f"{way}: {count} objects, {peak() - before} MB, {seconds:.0f} s of processor time")


def peak() -> int:
    """Peak memory of this process, in MB; `getrusage` would tell its parent's, if that is more."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
