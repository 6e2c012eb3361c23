"""What a network is and whether an engine computes it right: summary, gradients, a GPU's test."""
