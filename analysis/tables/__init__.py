"""The tables of a run, made once; terminal, page and LaTeX render them."""
