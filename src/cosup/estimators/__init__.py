"""The scikit-learn face that every method wears, and how a fitted one is saved."""
