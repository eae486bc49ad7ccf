"""Recipes that ship with genomed: they make rows that nobody captured. Pure but for what their tools ask."""
