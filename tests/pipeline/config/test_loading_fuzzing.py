"""Configs as a slip of the hand makes them: each is loaded, or refused in words."""

import copy
from pathlib import Path

import mutations
import numpy as np
import pytest
import yaml

from components.common.errors import UserError
from pipeline.config.loading import CONFIG_FOLDER, PipelineConfig, load_config

TEXTS, VALUES = 350, 350
STRANGE = (
    *(None, [], {}, -1, 0, 1.5, True, "", "x", "null", [1, 2, 3], {"a": 1}),
    *(10**30, float("nan"), float("inf"), [[]], "é\U0001f600", "../../etc", "a" * 5000),
)


CORPUS = Path(__file__).with_name("corpus")  # what was once found


def load(path):
    """The config, or why there is none."""
    try:
        return load_config(str(path), {})
    except UserError as error:
        return str(error)


def paths_of(values, prefix=()):
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*prefix, key))


def check(outcomes):
    """Some are good, most are not, and all of these say why."""
    good = [one for one in outcomes if isinstance(one, PipelineConfig)]
    assert len(outcomes) * 0.05 < len(good) < len(outcomes) * 0.8
    for config in good:  # what is loaded can be passed on to the steps
        assert PipelineConfig.model_validate_json(config.model_dump_json()) == config
    assert all(20 < len(one) < 20_000 for one in outcomes if isinstance(one, str))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_was_found_once_is_refused(path):
    assert isinstance(load(path), str)


@pytest.mark.slow
def test_damaged_text(tmp_path):
    texts = [path.read_bytes() for path in sorted(CONFIG_FOLDER.glob("*.yaml"))]
    outcomes = []
    for number in range(TEXTS):
        content, other = texts[number % len(texts)], texts[(number // 3) % len(texts)]
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(mutations.mutate(content, other, seed=80_000 + number))
        outcomes.append(load(path))
    check(outcomes)


@pytest.mark.slow
def test_strange_values_and_keys(tmp_path):
    configs = [yaml.safe_load(path.read_text()) for path in sorted(CONFIG_FOLDER.glob("*.yaml"))]
    outcomes = []
    for number in range(VALUES):
        rng = np.random.default_rng(90_000 + number)
        values = copy.deepcopy(configs[number % len(configs)])
        places = list(paths_of(values))
        *above, key = places[int(rng.integers(len(places)))]
        parent = values
        for name in above:
            parent = parent[name]
        kind = int(rng.integers(4))
        if kind == 0:
            del parent[key]
        elif kind == 1:
            parent[f"{key}s"] = parent.pop(key)
        else:
            parent[key] = STRANGE[int(rng.integers(len(STRANGE)))]
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        outcomes.append(load(path))
    check(outcomes)
