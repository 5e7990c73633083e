"""Handwritten digits: an MLP trained by scikit-learn, its forward pass as a relax function with a symbolic batch.

Prints, for several batch sizes, that the predictions are scikit-learn's, and the time per call beside NumPy and
scikit-learn; then the typed program, and the error that a 63-wide array gets. It needs scikit-learn, which `make demo`
brings.
"""

import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import relaxdsl as relax

n = relax.dims("n")


@relax.function
def digits(
    x: relax.Tensor[(n, 64), "float32"],
    w1: relax.Tensor[(64, 128), "float32"],
    b1: relax.Tensor[(128,), "float32"],
    w2: relax.Tensor[(128, 10), "float32"],
    b2: relax.Tensor[(10,), "float32"],
) -> relax.Tensor[(n, 10), "float32"]:
    hidden = relax.nn.relu(x @ w1 + b1)
    return relax.nn.softmax(hidden @ w2 + b2, axis=1)


def numpy_digits(x, w1, b1, w2, b2):
    """The same in NumPy."""
    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def train(images, labels):
    """The weights of a trained MLP, and the classifier."""
    classifier = MLPClassifier(hidden_layer_sizes=(128,), max_iter=40, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(images, labels)
    (w1, w2), (b1, b2) = classifier.coefs_, classifier.intercepts_
    return classifier, (w1, b1, w2, b2)


def median_seconds(function, *args, repeats=30):
    """The median time of a call of ``function`` on ``args``."""
    function(*args)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def main():
    images, labels = load_digits(return_X_y=True)
    images = images.astype("float32")
    classifier, weights = train(images, labels)
    weights = [np.ascontiguousarray(weight) for weight in weights]

    print(f"{len(images)} digits; scikit-learn's accuracy on them is {classifier.score(images, labels):.3f}")
    print(f"{'batch':>6} {'same predictions':>17} {'relaxdsl':>12} {'NumPy':>12} {'scikit-learn':>13}")
    for batch in (1, 7, 64, len(images)):
        x = images[:batch]
        same = np.array_equal(digits(x, *weights).argmax(1), classifier.predict(x))
        seconds = [
            median_seconds(digits, x, *weights),
            median_seconds(numpy_digits, x, *weights),
            median_seconds(classifier.predict_proba, x),
        ]
        times = [f"{each * 1e6:.1f} µs" for each in seconds]
        print(f"{batch:>6} {'yes' if same else 'NO':>17} {times[0]:>12} {times[1]:>12} {times[2]:>13}")
    print(f"compile_count: {digits.compile_count}")

    print("\nThe typed program:\n")
    print(digits.script())

    print("\nA 63-wide array:\n")
    try:
        digits(images[:, :63], *weights)
    except relax.ArgumentError as error:
        print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
