"""Pusher: versions of the model where a server looks for them.

From outside: `component`, for the chain.
"""
