"""TfdsExampleGen: any TFDS segmentation dataset becomes TFX examples."""
