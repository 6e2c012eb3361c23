"""How good: the weights beside classical methods, the synthetic Sun beside the real one."""
