"""Score records -> tables and figures; never sees an encoder, and needs neither torch nor transformers.

    runs/        run folders -> `Run`, `TrainingRun`: tidy pandas frames, checked at the border
    stats/       summaries, paired comparisons within and between runs, controls, depth, seeds, convergence, pruning
    tables/      the tables of a run, made once for terminal, page and files (`python -m analysis.tables RUN`)
    figures/     tidy frame -> matplotlib `Figure`; `files` writes them, `redrawing` shows them by choice
    terminal/    what a terminal shows of a run, of a training, of two runs
    report/      one HTML page of one or several runs; `python -m analysis.report RUN` is its command
    publishing/  a run as a data set with cards, in a folder or on the hub; `python -m analysis.publishing RUN --to ...`
    compare      two runs side by side; `python -m analysis.compare OLD NEW`
    convergence  steps of two models to the same dev score; `python -m analysis.convergence BERT BERMO`
    forgetting   what students forgot of their teacher; `python -m analysis.forgetting TEACHER RUN`
    orders       LV-BERT's orders beside one another, by sub-layer; `python -m analysis.orders TRAINING RUN ...`
    search       LV-BERT's orders, searched and others; `python -m analysis.search RUN`
    replication  BERMo's claims about training, with their verdicts

Importing this package loads none of them: `from analysis.runs.probing_run import load_run`.
"""
