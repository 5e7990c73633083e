"""The default schedule: small rules from PrimFunc to PrimFunc, applied in the fixed order of :mod:`.pipeline`."""
