"""What an image is: its file or Map, type, unit, instrument, place on the disc, level and gaps."""
