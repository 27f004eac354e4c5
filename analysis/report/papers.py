"""Publications that a page about training asks to be cited: of what was trained there, and of nothing else."""

from collections.abc import Mapping, Sequence

from analysis.report.facts import REFERENCES
from analysis.runs.training_run import TrainingRun

Paper = tuple[str, str, str, str]
"""Name, address, identifier, for what."""


def _of_arxiv(name: str, number: str, what: str) -> Paper:
    return name, f"https://arxiv.org/abs/{number}", f"arXiv {number}", what


OF_RECIPES: Mapping[str, Sequence[Paper]] = {
    "c_bert": (_of_arxiv("C-BERT", "1812.06705", "sentences written under their label"),),
    "kdlsq_bert": (
        _of_arxiv("KDLSQ-BERT", "2101.05938", "few bits with a teacher"),
        _of_arxiv("LSQ", "1902.08153", "learned step sizes"),
    ),
    "kg_bert": (_of_arxiv("KG-BERT", "1909.03193", "triples read as text"),),
    "lv_bert": (_of_arxiv("LV-BERT", "2106.11740", "the search among orders of layers"),),
    "nas_bert": (_of_arxiv("NAS-BERT", "2105.14444", "the search among small encoders"),),
    "prune": (_of_arxiv("Movement pruning", "2005.07683", "the ways of pruning"),),
    "tiny_bert": (_of_arxiv("TinyBERT", "1909.10351", "distillation of layers and answers"),),
}
"""By recipe; fine-tuning and pre-training as such have none of their own here."""
_REPLACED = _of_arxiv("ELECTRA", "2003.10555", "replaced tokens told from others")


def list_papers(runs: Sequence[TrainingRun]) -> list[Paper]:
    """BERMo's where a mix was trained, ELECTRA's where its objective was, and those of the recipes; each once."""
    papers = [REFERENCES[0]] if any(run.model == "bermo" for run in runs) else []
    for run in runs:
        papers += OF_RECIPES.get(run.recipe, ())
        papers += [_REPLACED] if run.settings.get("objective") == "replaced" else []
    return list(dict.fromkeys(papers))
