"""Passes: module to module, from the typed program to kernel calls, then to the VM's program."""
