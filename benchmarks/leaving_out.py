"""Leaving m samples out of a ridge by updating the factorisation of all (Woodbury) against factorising anew.

    python benchmarks/leaving_out.py [--samples 3000] [--features 1280] [--rounds 3]

Both give the leverages of the samples that stay, which is where the time goes; CPU seconds, medians, given what all
samples' trainings have in common: X'X, its eigenvectors and the coordinates along them.
"""

import argparse
import time

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from cosup.students.ridge.gram import Features, Sample
from cosup.students.ridge.grid import GRID
from cosup.students.ridge.solvers import Direct, Factor, Whole


def updated(factor, coordinates, kept, left_out, alphas):
    """Leverages about the mean of all samples, (n_kept, n_alphas), from the factor of all."""
    P, R = coordinates[kept], coordinates[left_out]
    out = np.empty((len(P), len(alphas)))
    for s, shrinkage in enumerate(factor.shrinkage(alphas).T):
        shrunk = R * shrinkage
        triangle = cholesky(np.eye(len(R)) - shrunk @ R.T, lower=True, check_finite=False)
        half = solve_triangular(triangle, shrunk @ P.T, lower=True, check_finite=False)
        out[:, s] = np.square(P) @ shrinkage + np.einsum("ij,ij->j", half, half)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    n, d = given.samples, given.features
    rng = np.random.default_rng(0)
    features = Features((rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5).astype(np.float32))
    everyone = Whole(features).factor
    coordinates = features.read(slice(None)) @ everyone.vectors
    one = np.array([GRID[10]])
    print(f"{'left out':>8} {'alphas':>9} {'anew':>8} {'updated':>8} {'ratio':>6}")
    for m in (n // 100, n // 30, n // 10, n // 5, n // 2):
        left_out = np.sort(rng.choice(n, m, replace=False))
        kept = np.setdiff1d(np.arange(n), left_out)

        def anew(alphas, kept=kept):
            sample = Sample(features, kept)
            if len(alphas) == 1:
                return Direct(sample, float(alphas[0])).leverage(float(alphas[0]))[:, None]
            return Factor(sample).leverages(alphas)

        for alphas in (one, GRID):
            spent = {"anew": [], "updated": []}
            for _ in range(given.rounds):
                start = time.process_time()
                anew(alphas)
                middle = time.process_time()
                updated(everyone, coordinates, kept, left_out, alphas)
                spent["anew"].append(middle - start)
                spent["updated"].append(time.process_time() - middle)
            a, u = np.median(spent["anew"]), np.median(spent["updated"])
            print(f"{m:8d} {len(alphas):9d} {a:8.3f} {u:8.3f} {a / u:6.2f}", flush=True)


if __name__ == "__main__":
    main()
