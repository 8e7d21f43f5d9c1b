"""Which picture is in which split: `splitting`, by hash, folders, names or `split_lists`.

`split_words` knows what a name says of it. `rounds` has the round of labelling of each picture.
"""
