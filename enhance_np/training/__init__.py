"""Training: batches, the loop of steps and epochs, its options, checkpoints and first weights."""
