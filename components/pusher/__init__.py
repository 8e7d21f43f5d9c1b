"""Pusher: versions of the model where a server looks for them.

From outside: `config`; `component`, for the chain.
"""
