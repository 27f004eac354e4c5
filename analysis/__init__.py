"""Score records -> tables and figures; never sees an encoder, and needs neither torch nor transformers.

    load          run folder -> `Run`, tidy pandas frames
    frames        the rows that tables and figures are made of: seeds averaged, tasks in the papers' order
    summary       last layer, best layer, mix, means by group, centre of gravity
    significance  statistics of paired comparisons, on arrays
    comparisons   the same on a run: which difference is more than the noise of its test set
    tables        the main table for the screen, Markdown, LaTeX and CSV
    plots, dumbbell, drawing   tidy frame -> matplotlib `Figure`; nothing is shown or saved
    figures       all figures of a run, and the files they go to

Importing this package loads none of them: `from analysis.load import load_run`.
"""
