"""Prediction with a pushed model: files for people, Beam for many, a page to try it.

No step of the chain. `segline predict`, `segline demo` and `segline export page` are thin calls of
`files` (with `picture_files`), `batch` (with `raster_batch`), `demo` and `browser_page`; `overlay`
draws a mask over a picture, `objects` finds what hangs together in one, `rasters` reads and writes
GeoTIFFs of any size, and `geojson` their objects. What is handed out to be labelled takes its
shapes from `connected` and `outlines`, and its pictures by `picture_files`.
"""
