"""Labels: which of them look wrong, and which pictures to label next.

No step of the chain, but what `segline label` does with what a run has made. From outside: `folds`
scores labels, out of fold, `check` shows the worst, and `marks` is the table of what to leave out;
`inference` asks a model's network, `selection` chooses by what it says, and `handout` writes what
is to be labelled. `alone` keeps a second call out.
"""
