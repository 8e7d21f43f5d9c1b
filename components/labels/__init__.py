"""Labels: which of them look wrong, and which pictures to label next.

Not a step, but what `segline label` does with the models that the steps have made. Used from
outside: `check`, `selection` and `handout`.
"""
