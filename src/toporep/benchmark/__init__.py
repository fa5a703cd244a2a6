"""How fast this machine trains the networks of all papers: what `python -m toporep.cli.benchmark` measures."""
