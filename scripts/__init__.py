"""Chores of this repository that are Python."""
