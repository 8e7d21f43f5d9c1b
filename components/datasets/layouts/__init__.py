"""Which form a folder's data is in, and where pictures and masks lie: what `segline init` finds.

`finding` looks at a folder and gives a `Layout` (`mask_layouts`).
"""
