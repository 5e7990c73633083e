"""relaxdsl: Relax in Python. One compile for every shape."""
