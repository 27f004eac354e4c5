"""One HTML page of one or several runs, which opens offline: `python -m analysis.report RUN [RUN ...]`.

    __main__   the command
    build      runs -> the page, and its file
    facts      what was run, on what, what to beware of, how to run it again
    answer     the answer in three sentences
    shell      what every page is made with
    training, training_answer, training_charts   the page of training runs
    chart_parts                    what the interactive charts, Vega-Lite specifications, share
    vega                           the package that makes them, imported fast
    heatmap_charts, task_charts    those of layers and tasks, and those of the chosen task
    page/      template, style sheet and script of the page

Importing this package loads none of them.
"""
