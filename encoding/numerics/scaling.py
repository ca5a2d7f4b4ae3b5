"""Scale features with what the training samples say."""

import numpy as np


def scale_band(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise the features of one band and give the band unit total variance.

    Every feature is z-scored with the mean and the standard deviation of the training samples; then the band
    is divided by the root of its total variance (the number of features that vary), so that bands of 14
    and of 2,000 features start equal: trace(X X') / n is 1 on the training samples.

    Parameters
    ----------
    train : ndarray, shape (n_train, n_features)
        Training samples.
    test : ndarray, shape (n_test, n_features)
        Held-out samples; they have no say in the scaling.

    Returns
    -------
    tuple of ndarray
        Both, float64. Features that are constant in training are zero in both.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, sd = train.mean(0), train.std(0)
    varies = sd > 1e-7 * np.maximum(np.abs(mean), np.abs(train).max(0, initial=0.0))
    factor = np.where(varies, 1 / np.where(varies, sd, 1), 0) / np.sqrt(max(varies.sum(), 1))
    return (train - mean) * factor, (test - mean) * factor
