"""The tables of a run, made once; terminal, page and files render them: `python -m analysis.tables RUN`."""
