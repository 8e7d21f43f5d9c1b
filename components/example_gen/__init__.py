"""TfdsExampleGen: any TFDS segmentation dataset becomes TFX examples.

From outside: `config`; for the chain `component`; `dataset` opens and identifies what the config
names; `encoding` reads one example, `band_features` pictures of many bands; `quarantine`,
`leaks` and `rounds` read back what was found in the data; `leave_out` has the list of what its
owner wants left out.
"""
