"""Where masks come from: one `MaskSource` for each form of data.

`mask_source` opens the one that a config names. `layouts` finds the forms through their own
modules: `mask_files` and `by_name`, `annotated`, `coco` and `coco_file`, `labelme`, `yolo`,
`run_lengths`.
"""
