"""Memory planning: which tensors share bytes, for every value of the sizes; as explicit memory in the program."""
