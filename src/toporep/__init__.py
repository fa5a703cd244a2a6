"""TopoRep: topographic neural networks, reproduced figure by figure."""

__version__ = "0.1.0"
