"""Numbers that say where something is in this process, and are others in the next one."""

from __future__ import annotations


class Address(int):
    """An address. Compiled code refers to it by name, so that the code can be kept on the disk."""
