"""SentEval's ten tasks from treebanks of any language."""
