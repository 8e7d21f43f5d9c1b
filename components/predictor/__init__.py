"""Prediction with a pushed model: files for people, Beam for many, a page to try it."""
