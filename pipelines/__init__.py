"""The pipelines of this repository, one folder each; `lightwork list` shows them."""
