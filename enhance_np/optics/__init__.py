"""What a telescope does to an image: point spread functions, pixels, degradation."""
