"""Your own metric: the squared distance of the two means. It shares the moments with the FID."""

import numpy as np

import fastfid


class MeanDistance(fastfid.Metric):
    """``|mu1 - mu2|²``, the first term of the FID."""

    name, needs = "mean-distance", (fastfid.Need("features", fastfid.Statistics),)

    def value(self, a, b):
        difference = a[self.needs[0]].mu - b[self.needs[0]].mu
        return fastfid.Score(float(difference @ difference), n=(a.n, b.n))


if __name__ == "__main__":
    sides = np.random.RandomState(0).randint(0, 256, (2, 70, 32, 32, 3))
    model = fastfid.Extractor("inception-v3-random", dims=64)
    result = fastfid.compare(*sides, model=model, metrics=["fid", MeanDistance()])
    for name, score in result.scores.items():
        print(f"{name}: {score.value:.5f}")
