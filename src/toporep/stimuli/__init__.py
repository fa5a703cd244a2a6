"""Stimuli computed from formulas, as pure NumPy images; none imports torch."""
