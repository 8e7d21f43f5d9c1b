"""The report of a run: one self-contained HTML page.

From outside: `component`, for the chain; `executor` says where the page lies; `page` and
`lineage_section` build it, or its graph alone, without a run; `data_look` is the page about the
data alone, `watch_page` that of `segline watch`; the page of `labels` is filled by `templates`,
with pictures by `images`. Of all steps it alone reads what others wrote, through their readers.
"""
