"""The operators: one definition each, by family, and the registry that derives everything else from it."""
