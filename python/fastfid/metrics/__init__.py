"""Computes numbers from features; nothing here uses images or networks."""
