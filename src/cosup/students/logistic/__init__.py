"""A logistic probe, trained to convergence by L-BFGS and cross-fitted."""
