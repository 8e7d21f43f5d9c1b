"""Mask files: which values are in them (`raw_mask`), and what these mean (`mask_values`).

`mask_decision` decides it for a new config, from what `mask_looks` has gathered.
"""
