"""GeoTIFFs as GDAL writes them."""

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

UTM = CRS.from_epsg(32632)
PLACE = Affine(0.5, 0, 691000, 0, -0.5, 5334000)  # half a metre a pixel


def write_raster(path, pixels, **profile):
    """Writes [height, width] or [height, width, bands]; gives the path.

    Args:
      path: of the file.
      pixels: its values.
      **profile: GDAL's; in place of UTM and PLACE, where None takes one of them away.
    """
    bands = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    count, height, width = bands.shape
    settings = {"crs": UTM, "transform": PLACE} | profile
    settings = {key: value for key, value in settings.items() if value is not None}
    shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **settings) as file:
        file.write(bands)
    return str(path)
