"""Where pictures and masks come from, if not from TFDS: drawn animals, folders, COCO annotations.

No step: ExampleGen opens `synthetic_pets` and `image_folder` (settings: `config`) as it opens
any TFDS dataset, and `segline init` asks `folder_survey` what is in a folder.
"""
