"""Benchmarks: each prints side-by-side figures of one run, so that ratios hold on a noisy machine."""
