"""Schedules by hand: primitives that rewrite a kernel's loops, each of which checks that its meaning stays."""
