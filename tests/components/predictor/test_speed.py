"""A guard against a `segline predict` that has become much slower.

The goal itself is in docs/benchmarks.md; this fails only where something is twice off.
"""

import cpu_time
import numpy as np
import pytest
from PIL import Image

from components.datasets.synthetic_pets import draw_pet
from components.predictor.files import predict_files
from components.predictor.picture_files import find_pictures

pytestmark = pytest.mark.slow

BATCH = 8


def test_files_cost_little_more_than_what_the_model_does(model, tmp_path):
    """Reading, masks and overlays, beside decoding and encoding in the model's own graph."""
    (tmp_path / "pictures").mkdir()
    for seed in range(2 * BATCH):
        picture = Image.fromarray(draw_pet(seed)[0]).resize((500, 375))
        picture.save(tmp_path / "pictures" / f"{seed}.jpg", quality=95)
    out = str(tmp_path / "out")
    files = find_pictures([str(tmp_path / "pictures")], out)
    encoded = [np.fromfile(file.path, np.uint8).tobytes() for file in files]

    def predict():
        assert not any(row.error for row in predict_files(model, files, out, BATCH))

    def model_alone():
        for start in range(0, len(encoded), BATCH):
            model.predict(encoded[start : start + BATCH])

    assert cpu_time.median_ratio(predict, model_alone) < 3.6  # about 2.2
