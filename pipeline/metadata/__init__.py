"""The ML Metadata store: opening it, and what it knows of runs, models and their making.

Outside, open it by `store`; ask `history` (runs), `artifacts`, `lineage`; `garbage` frees disk.
"""
