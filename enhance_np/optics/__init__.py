"""What a telescope does to an image: its PSF, its pixels, and both on an image given."""
