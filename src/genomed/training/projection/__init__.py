"""Projections: a small perceptron that carries vectors of one embedding space into another."""
