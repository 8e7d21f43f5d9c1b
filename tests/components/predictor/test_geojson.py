"""Objects of rasters on the earth: GeoJSON held against pyproj, shapely, GDAL and SciPy."""

import functools
import json
from collections import Counter

import numpy as np
import pyproj
import pytest
import rasterio
import scipy.ndimage
import shapely
from rasterio.control import GroundControlPoint
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely.geometry import shape

from components.predictor import geojson
from components.predictor.geojson import write_raster_objects

GEOD = pyproj.Geod(ellps="WGS84")
NAMES = ["ground", "tree", "house"]
TURNED = Affine.translation(691000, 5334000) @ Affine.rotation(30) @ Affine.scale(10, -10)


def blobs(side=(120, 150), seed=0, smooth=2.0):
    """Three classes with holes and corners; and a corner of no data."""
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).random(side), smooth)
    mask = np.digitize(noise, np.quantile(noise, [0.5, 0.8])).astype(np.uint8)
    mask[:20, :30] = 255
    return mask


def written(tmp_path, mask, **place):
    path = tmp_path / "mask.tif"
    height, width = mask.shape
    size = {"height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(mask, 1)
    return str(path)


def objects_of(tmp_path, mask, classes=(1, 2), **place):
    """Features and notes; the counts agree, and nothing else is left behind."""
    path, notes = tmp_path / "x_objects.geojson", []
    counts = write_raster_objects(
        written(tmp_path, mask, **place), classes, NAMES, str(path), notes
    )
    content = json.loads(path.read_text())
    features = content["features"]
    assert content["type"] == "FeatureCollection"
    assert {file.name for file in tmp_path.iterdir()} == {"mask.tif", "x_objects.geojson"}
    told = Counter(feature["properties"]["class"] for feature in features)
    assert told == {NAMES[index]: count for index, count in counts.items()}
    return features, notes, content["description"]


@functools.cache
def from_degrees(crs):
    return pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True)


def in_pixels(feature, crs, transform):
    """The geometry, brought back by pyproj."""
    back = from_degrees(crs)

    def pixels(points):
        x, y = back.transform(*points.T)
        return np.stack(~transform @ (x, y), axis=1)

    return shapely.transform(shape(feature["geometry"]), pixels)


PLACES = {
    "utm": ("EPSG:32632", Affine(0.5, 0, 691000, 0, -0.5, 5334000)),
    "turned": ("EPSG:32632", TURNED),
    "degrees": ("EPSG:4326", Affine(1e-4, 0, 11, 0, -1e-4, 48)),
    "other datum": ("EPSG:4267", Affine(1e-4, 0, -95, 0, -1e-4, 40)),
    "feet": ("EPSG:2263", Affine(3, 0, 980000, 0, -3, 200000)),
    "mercator": ("EPSG:3857", Affine(10, 0, 1.1e6, 0, -10, 9e6)),
    "mirrored": ("EPSG:32733", Affine(5, 0, 500000, 0, 5, 6200000)),
}


@pytest.mark.parametrize("strip", [1500, 10**6])
@pytest.mark.parametrize("place", PLACES)
def test_the_polygons_are_the_masks_objects(tmp_path, monkeypatch, place, strip):
    """Each covers its own pixels and no others, after pyproj has brought it back."""
    monkeypatch.setattr(geojson, "_STRIP", strip)
    monkeypatch.setattr(geojson, "_BLOCK_ROWS", 32)
    crs, transform = PLACES[place]
    mask = blobs()
    features, notes, told = objects_of(tmp_path, mask, crs=crs, transform=transform)
    assert not notes and "longitude and latitude (WGS 84)" in told
    seen = np.zeros(mask.shape, np.uint8)
    labels = {index: scipy.ndimage.label(mask == index, np.ones((3, 3)))[0] for index in (1, 2)}
    assert len(features) == sum(one.max() for one in labels.values())
    for feature in features:
        geometry, properties = shape(feature["geometry"]), feature["properties"]
        assert (
            geometry.is_valid
            and shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(geometry))).all()
        )
        index = NAMES.index(properties["class"])
        pixels = rasterize([in_pixels(feature, crs, transform)], mask.shape).astype(bool)
        (number,) = np.unique(labels[index][pixels])
        np.testing.assert_array_equal(labels[index] == number, pixels)
        assert properties["area_pixels"] == pixels.sum()
        rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
        assert properties["box"] == [
            *(columns[0], rows[0]),
            *(columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1),
        ]
        seen[pixels] = index
    np.testing.assert_array_equal(seen, np.where(mask == 255, 0, mask))
    assert any(
        shapely.get_num_interior_rings(shape(f["geometry"])).any()
        for f in features
        if f["geometry"]["type"] == "Polygon"
    )
    assert any(feature["geometry"]["type"] == "MultiPolygon" for feature in features)


@pytest.mark.parametrize("place", PLACES)
def test_square_metres(tmp_path, place):
    """Those on the ellipsoid, by geodesics; in a good projection its own, to the last digit."""
    crs, transform = PLACES[place]
    features, _, _ = objects_of(tmp_path, blobs(smooth=4), crs=crs, transform=transform)
    for feature in features:
        properties = feature["properties"]
        area = properties["area_square_metres"]
        geodesic, _ = GEOD.geometry_area_perimeter(shape(feature["geometry"]))
        if properties["area_pixels"] > 50:  # (coordinates are rounded)
            assert area == pytest.approx(geodesic, rel=2e-3 if place != "mercator" else 1e-3)
        pixel = {"utm": 0.25, "turned": 100, "mirrored": 25, "feet": 9 * (1200 / 3937) ** 2}
        if place in pixel:
            assert area == pytest.approx(properties["area_pixels"] * pixel[place], rel=1e-8)


def test_a_straight_side_is_straight_in_the_raster(tmp_path):
    """In degrees it is bent: 60 km in UTM, off by 80 m if only its ends were told."""
    mask = np.ones((20, 6000), np.uint8)
    crs, transform = "EPSG:32632", Affine(10, 0, 400000, 0, -10, 5334000)
    ((feature,), _, _) = objects_of(tmp_path, mask, crs=crs, transform=transform)
    to_degrees = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    x = np.linspace(0, 6000, 1001)
    side = shapely.points(np.stack(to_degrees.transform(*(transform @ (x, 0 * x))), axis=1))
    away = shapely.distance(shape(feature["geometry"]).exterior, side).max() * 111_000
    assert away < 1  # metre: a tenth of a pixel


@pytest.mark.parametrize(
    ("crs", "transform", "size"),
    [
        ("EPSG:32660", Affine(1000, 0, 600000, 0, -1000, 8000000), (120, 150)),
        ("EPSG:4326", Affine(0.01, 0, 179.3, 0, -0.01, 70), (120, 150)),
        ("EPSG:4326", Affine(2, 0, 0, 0, -2, 90), (90, 180)),  # 0 to 360
    ],
)
def test_what_crosses_the_antimeridian_is_cut_there(tmp_path, crs, transform, size):
    mask = blobs(size, smooth=5)
    features, _, _ = objects_of(tmp_path, mask, crs=crs, transform=transform)
    crossing = 0
    for feature in features:
        geometry, properties = shape(feature["geometry"]), feature["properties"]
        west, _, east, _ = geometry.bounds
        assert geometry.is_valid and -180 <= west <= east <= 180
        for part in shapely.get_parts(geometry):
            assert part.bounds[2] - part.bounds[0] <= 180
        crossing += geometry.geom_type == "MultiPolygon" and west == -180 and east == 180
        geodesic, _ = GEOD.geometry_area_perimeter(geometry.segmentize(0.05))
        assert properties["area_square_metres"] == pytest.approx(geodesic, rel=0.01)
    assert crossing


@pytest.mark.parametrize("degrees", [2, 3, 5, 10])
def test_a_long_side_of_coarse_pixels_goes_the_way_it_goes(tmp_path, degrees):
    """Half a turn and more in few pixels: the object is no two strips on the other side."""
    place = {"crs": "EPSG:4326", "transform": Affine(degrees, 0, -180, 0, -degrees, 90)}
    mask = np.zeros((180 // degrees, 360 // degrees), np.uint8)
    mask[3:6, 20 // degrees : 320 // degrees] = 1  # from -160 to 140 degrees, or a little less
    ((feature,), _, _) = objects_of(tmp_path, mask, **place)
    seen = rasterize([in_pixels(feature, "EPSG:4326", place["transform"])], mask.shape)
    np.testing.assert_array_equal(seen, mask)
    assert feature["geometry"]["type"] == "Polygon"


def test_square_metres_of_a_projection_that_keeps_them_in_its_middle_only(tmp_path):
    """The whole earth in Web Mercator: true at the equator, four times too many at 60 degrees."""
    reach, side = 20037508.342789244, 1024
    place = {
        "crs": "EPSG:3857",
        "transform": Affine(2 * reach / side, 0, -reach, 0, -2 * reach / side, reach),
    }
    mask = np.zeros((side, side), np.uint8)
    for row in (298, 512, 900):
        mask[row : row + 2, 500:502] = 1
    features, _, _ = objects_of(tmp_path, mask, **place)
    for feature in features:
        geodesic, _ = GEOD.geometry_area_perimeter(shape(feature["geometry"]))
        assert feature["properties"]["area_square_metres"] == pytest.approx(geodesic, rel=2e-3)


def test_the_whole_earth_has_its_area(tmp_path):
    mask = np.ones((90, 180), np.uint8)
    place = {"crs": "EPSG:4326", "transform": Affine(2, 0, 0, 0, -2, 90)}
    ((feature,), _, _) = objects_of(tmp_path, mask, **place)
    assert feature["properties"]["area_square_metres"] == pytest.approx(510_065_621_724_000)
    assert shape(feature["geometry"]).area == pytest.approx(360 * 180)


def test_a_grid_that_goes_half_a_pixel_beyond_the_poles_ends_there(tmp_path):
    """As those of the weather do: the middles of its first row are the pole."""
    mask = np.zeros((37, 72), np.uint8)
    mask[0] = mask[10:20, 5:60] = 1
    place = {"crs": "EPSG:4326", "transform": Affine(5, 0, -180, 0, -5, 92.5)}
    features, notes, _ = objects_of(tmp_path, mask, **place)
    assert not notes and len(features) == 2
    for feature in features:
        geometry = shape(feature["geometry"])
        assert geometry.bounds[3] <= 90
        radius = 6371007.2  # of the sphere that has the ellipsoid's surface
        west, south, east, north = geometry.bounds
        zone = np.sin(np.radians(north)) - np.sin(np.radians(south))
        area = radius**2 * np.radians(east - west) * zone
        assert feature["properties"]["area_square_metres"] == pytest.approx(area, rel=0.01)


def test_a_pole_belongs_to_what_lies_around_it(tmp_path):
    mask = np.ones((60, 60), np.uint8)
    place = {"crs": "EPSG:3031", "transform": Affine(1000, 0, -30500, 0, -1000, 29500)}
    ((feature,), _, _) = objects_of(tmp_path, mask, **place)
    geometry = shape(feature["geometry"])
    assert geometry.is_valid and geometry.bounds[0] == -180 and geometry.bounds[1] == -90
    ps = pyproj.Proj("EPSG:3031").get_factors(0, -89.9)
    area = 3600e6 / ps.areal_scale
    assert feature["properties"]["area_square_metres"] == pytest.approx(area, rel=2e-3)


def test_what_lies_off_the_earth_is_left_out_and_counted(tmp_path):
    """A geostationary satellite's full disk: of nine objects those in its corners."""
    crs = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +datum=WGS84"
    transform = Affine(222000, 0, -5550000, 0, -222000, 5550000)
    mask = np.zeros((50, 50), np.uint8)
    for y in (2, 24, 46):
        mask[y : y + 2, [2, 3, 24, 25, 46, 47]] = 1
    features, notes, _ = objects_of(tmp_path, mask, crs=crs, transform=transform)
    assert notes == ["objects left out, for a part has no longitude and latitude: 4"]
    seen = rasterize([in_pixels(feature, crs, transform) for feature in features], mask.shape)
    mask[np.ix_([2, 3, 46, 47], [2, 3, 46, 47])] = 0
    np.testing.assert_array_equal(seen, mask)
    for feature in features:
        geodesic, _ = GEOD.geometry_area_perimeter(shape(feature["geometry"]).segmentize(0.05))
        assert feature["properties"]["area_square_metres"] == pytest.approx(geodesic, rel=0.01)


def test_control_points_give_a_place_too(tmp_path):
    corners = [(0, 0, 11, 48), (0, 150, 11.15, 48), (120, 0, 11, 47.9), (120, 150, 11.15, 47.9)]
    points = [GroundControlPoint(*corner) for corner in corners]
    mask = blobs(smooth=5)
    features, notes, _ = objects_of(tmp_path, mask, crs="EPSG:4326", gcps=points)
    assert features and not notes
    transform = Affine(0.001, 0, 11, 0, -0.1 / 120, 48)
    pixels = [in_pixels(feature, "EPSG:4326", transform) for feature in features]
    np.testing.assert_array_equal(rasterize(pixels, mask.shape) > 0, (mask == 1) | (mask == 2))


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({}, "it has no coordinate system"),
        ({"transform": Affine(2, 0, 100, 0, -2, 100)}, "it has no coordinate system"),
        ({"crs": "EPSG:32632"}, "it has no place in its coordinate system"),
        (
            {
                "crs": 'LOCAL_CS["site",UNIT["metre",1]]',
                "transform": Affine(2, 0, 100, 0, -2, 100),
            },
            "its coordinate system has no longitude and latitude",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_a_place_on_the_earth_pixels_are_told(tmp_path, place, reason):
    mask = blobs()
    features, notes, told = objects_of(tmp_path, mask, **place)
    assert notes == [f"{reason}: its objects are in pixels"] and "in pixels" in told
    shapes = [(shape(one["geometry"]), NAMES.index(one["properties"]["class"])) for one in features]
    np.testing.assert_array_equal(rasterize(shapes, mask.shape), np.where(mask == 255, 0, mask))
    assert not any("area_square_metres" in feature["properties"] for feature in features)


def test_none_found_is_an_empty_collection(tmp_path):
    place = {"crs": "EPSG:32632", "transform": PLACES["utm"][1]}
    features, notes, _ = objects_of(tmp_path, np.zeros((9, 9), np.uint8), **place)
    assert features == [] == notes


def test_what_can_not_be_written_leaves_nothing(tmp_path, monkeypatch):
    path = written(tmp_path, blobs(), crs="EPSG:32632", transform=PLACES["utm"][1])
    monkeypatch.setattr(geojson, "_feature", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_raster_objects(path, [1], NAMES, str(tmp_path / "x.geojson"), [])
    assert [file.name for file in tmp_path.iterdir()] == ["mask.tif"]
