"""How fast: the engine beside other programs, and what its settings bring."""
