"""What the steps share: feature names and classes, pictures, errors, what a model says of itself.

All of it may be imported from anywhere; it imports none of the steps.
"""
