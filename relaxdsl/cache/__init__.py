"""The on-disk cache: bytes by key, in files that several processes share. It knows nothing of what the bytes mean."""
