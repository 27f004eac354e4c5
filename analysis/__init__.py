"""Score records -> tables and figures; never sees an encoder, and needs neither torch nor transformers.

    load          run folder -> `Run`, tidy pandas frames
    frames        the rows that tables and figures are made of: seeds averaged, tasks in the papers' order
    summary       last layer, best layer, mix, means by group, centre of gravity
    significance  statistics of paired comparisons, on arrays
    comparisons   the same on a run: which difference is more than the noise of its test set
    tables        the main table for the screen, Markdown, LaTeX and CSV
    plots, heatmaps, curves, dumbbell, by_layer, depth_figure   tidy frame -> matplotlib `Figure`; nothing is saved
    figures       all figures of a run, and the files they go to
    pairs         two runs over the same data, compared sentence by sentence
    differences   the same on the screen and as figures; `python -m analysis.compare OLD NEW` is its command
    training_runs, training_tables, training_curves, training_screen   the same of a training run: load, tables, figures
    pruning       score, spread and share of diverged runs by method, aim and model
    convergence   steps of two models to the same dev score; `python -m analysis.convergence BERT BERMO` is its command
    dev_curves    the curves that it reads
    published     BERT's published figures by layer, beside a run on the same data
    report        one HTML page of one or several runs; `python -m analysis.report RUN` is its command

Importing this package loads none of them: `from analysis.load import load_run`.
"""
