"""Gradient norms: measured, kept, drawn, and judged in one line of advice."""
