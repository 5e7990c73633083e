"""Programs as bytes: what ``fn.save`` writes and ``relax.load`` reads, and what a pickle of a function holds."""
