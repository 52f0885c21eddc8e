"""What `benchmarks.training` compares with: `python -m benchmarks.keras_training NPZ MODEL BATCH`.

NPZ holds finished features `x` [clips, T, F] and signs `y` [clips]. For each line on stdin Keras's
`fit` trains the layers of `model=MODEL` for an epoch and prints its seconds; their number of
trainable parameters comes first.
"""

import sys
import time
from typing import Any

import keras
import numpy as np
from keras import layers


def bigru(steps: Any) -> Any:
    """Summaries of `model=bigru`."""
    for _ in range(2):
        steps = layers.Bidirectional(layers.GRU(64, return_sequences=True))(steps)
    return layers.GlobalAveragePooling1D()(steps)


def cnn(steps: Any) -> Any:
    """Summaries of `model=cnn`."""
    for _ in range(3):
        inner = layers.Dense(256, "silu")(steps)
        inner = layers.DepthwiseConv1D(5, padding="same", use_bias=False)(inner)
        inner = layers.Activation("silu")(layers.BatchNormalization()(inner))
        steps = layers.Add()([steps, layers.Dense(128)(inner)])
    return layers.GlobalMaxPooling1D()(steps)


NETWORKS = {"bigru": bigru, "cnn": cnn}


def main(path: str, name: str, batch: str) -> None:
    """Train for an epoch at each line of stdin."""
    with np.load(path) as arrays:
        x, y = arrays["x"], arrays["y"]
    given = keras.Input(x.shape[1:])
    steps = layers.BatchNormalization()(layers.Dense(128, use_bias=False)(given))
    model = keras.Model(given, layers.Dense(int(y.max()) + 1)(NETWORKS[name](steps)))
    model.compile(
        keras.optimizers.AdamW(global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    print(sum(np.prod(weight.shape) for weight in model.trainable_weights), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        model.fit(x, y, batch_size=int(batch), epochs=1, verbose=0)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
