"""Running programs: argument checks and symbol binding, the VM, executables."""
