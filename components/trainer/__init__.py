"""Trainer: the modified U-Net and everything that trains it.

From outside: `config` and `tuner_config`; for the chain `tuner` and `warm_start`; `record` and
`calibration` read a training back; `encoders` checks weights before a run; `sample_weights` counts
pixels. A worker beside the chief takes `run_fn`, `hyperparameters` and `distribution`; `labels`
trains on folds by `run_fn`, and cuts large pictures by `random_windows`. TFX finds `run_fn` and
`tuner_fn` by their names.
"""
