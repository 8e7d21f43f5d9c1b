"""Where pictures and masks come from, if not from TFDS: drawings, folders, tools' annotations.

No step: ExampleGen opens `synthetic_pets`, `synthetic_fields` and `image_folder` (settings:
`config`) as it opens any TFDS dataset; `segline init` asks `survey` what is in a folder, with a
person's `answers`, and what `picture_looks` tells of pictures. `pairs` has what all forms of data
come down to; `vanishing` counts what is too small for the model's size, and `raster_place` knows
where GeoTIFFs lie.

Its rooms, from the one that looks at a whole folder to what knows single files: `layouts`,
`sources`, `masks`, `splits`.
"""
