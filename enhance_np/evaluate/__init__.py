"""How good an output is: metrics by class of scene, figures, and the baselines to beat."""
