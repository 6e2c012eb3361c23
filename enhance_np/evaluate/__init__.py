"""Measures the quality of an output: metrics by class of scene, figures, baselines."""
