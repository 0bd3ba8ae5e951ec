"""Estimators: scikit-learn's contract around solvers, and nothing numerical."""
