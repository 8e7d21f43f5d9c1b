"""The split that a name speaks of."""

from __future__ import annotations

import re

from components.common import schema

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), schema.TRAIN),
    **dict.fromkeys(
        ("validation", "valid", "val", "dev", "validate", "eval", "evaluation", "minival"),
        schema.VALIDATION,
    ),
    **dict.fromkeys(
        ("test", "testing", "tst", "holdout", "heldout", "unseen", "benchmark"), schema.TEST
    ),
}
SPLIT_MARK = "{split}"
# nnU-Net's folders.
_GLUED = (
    *("annot", "annots", "annotations", "mask", "masks", "label", "labels", "image", "images"),
    *("img", "imgs", "set", "data", "gt"),
)
_WHOLE_WORDS = {"imagestr": schema.TRAIN, "imagests": schema.TEST}


def split_word(name: str) -> str | None:
    """The split that a folder's or file's name speaks of: train2017, Test, val_images, …

    Returns:
      A split's name; None where it names none, or several.
    """
    lower = name.lower()
    if lower in _WHOLE_WORDS:
        return _WHOLE_WORDS[lower]
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    words += ["".join(two) for two in zip(words, words[1:], strict=False)]  # held_out, hold-out
    # CamVid's trainannot, and trainset, testimages.
    words += [word.removesuffix(end) for word in words for end in _GLUED if word.endswith(end)]
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    if found == {schema.VALIDATION, schema.TEST}:  # COCO's test-dev
        return schema.TEST
    return found.pop() if len(found) == 1 else None


def own_suffix(stem: str, suffix: str) -> str:
    """A suffix with the word that a name has for `{split}`: of 21_training, _training.

    Args:
      stem: of a file's name.
      suffix: as `names.image_suffix` has it.
    """
    joint, marked, _ = suffix.partition(SPLIT_MARK)
    word = stem.rpartition(joint)[2] if joint else ""
    return joint + word if marked and word and split_word(word) else suffix
