"""Pusher: versions of the model where a server looks for them."""
