"""The chain of components, and the ways to run it."""
