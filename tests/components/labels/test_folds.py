"""The promise of a check: nobody judges a label that it has learned from."""

import pytest
import tensorflow as tf

from components.common import schema
from components.labels import folds


def write_examples(path, names):
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for name in names:
            example = tf.train.Example()
            example.features.feature[schema.EXAMPLE_ID].bytes_list.value.append(name.encode())
            writer.write(example.SerializeToString())
    return str(path)


@pytest.mark.parametrize("count", [2, 3])
def test_no_model_scores_what_it_was_trained_on_and_each_label_is_scored_once(
    tmp_path, monkeypatch, count
):
    names = [f"picture {number}" for number in range(20)]
    files = [
        write_examples(tmp_path / "one.gz", names[:13]),
        write_examples(tmp_path / "two.gz", names[13:]),
    ]
    learned, judged = {}, {}

    def ids_of(paths):
        return [name for name, _ in folds.read_records(paths)]

    def train(arguments):
        learned[arguments.serving_model_dir] = ids_of(arguments.train_files)
        assert arguments.eval_files == ["validation.gz"]

    def score(model, split, paths):
        judged[model] = ids_of(paths)
        return [folds.Scored(name, split, 0.5, model) for name in judged[model]]

    monkeypatch.setattr(folds, "run_fn", train)
    monkeypatch.setattr(folds, "score_split", score)
    training = folds.Training(files, ["validation.gz"], "graph", {})
    scored = folds.score_out_of_fold(training, count, str(tmp_path / "work"), lambda line: None)
    assert len(learned) == count and learned.keys() == judged.keys()
    for model, own in judged.items():
        assert sorted(own + learned[model]) == sorted(names)  # each on one side, and on one only
    assert sorted(one.example_id for one in scored) == sorted(names)
    sizes = [len(own) for own in judged.values()]
    assert max(sizes) - min(sizes) <= 1


def test_pictures_that_are_alike_lie_in_one_fold():
    names = [f"picture {number}" for number in range(23)]
    alike = [["picture 1", "picture 20", "picture 7"], ["picture 3", "picture 2"]]
    by_chance = folds.assign(names, 4, [])
    found = folds.assign(reversed(names), 4, alike)
    assert len({by_chance[name] for name in alike[0]}) > 1
    assert all(len({found[name] for name in group}) == 1 for group in alike)
    sizes = [list(found.values()).count(fold) for fold in range(4)]
    assert sorted(sizes) == [5, 6, 6, 6] and found.keys() == set(names)


def test_a_group_that_is_larger_than_a_fold_is_cut():
    """The frames of one film: in one fold, its model would have next to nothing to learn from."""
    names = [f"frame {number}" for number in range(12)]
    assert folds.assign(names, 3, [names[:5]]) == folds.assign(names, 3, [])
    whole = folds.assign(names, 3, [names[:4]])
    assert len({whole[name] for name in names[:4]}) == 1
