"""A synthetic Sun, made by rule from a seed: convection, magnetic flux, light, spots."""
