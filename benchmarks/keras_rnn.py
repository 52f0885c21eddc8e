"""What `benchmarks.exporting` compares with: `python -m benchmarks.keras_rnn JSON`.

JSON maps each file to write to a layer, its units and its input [frames, features]. Two such layers
and 250 signs become a .tflite by Keras and TensorFlow alone, without any preprocessing.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf
import tf_keras as keras


def to_tflite(layer: str, units: int, shape: tuple[int, int]) -> bytes:
    """Two layers, in both directions where the name begins with bi, and a softmax of 250 signs."""
    model = keras.Sequential([keras.layers.Input(shape, batch_size=1)])
    for whole in (True, False):
        cells = getattr(keras.layers, layer.removeprefix("bi").upper())(
            units, return_sequences=whole
        )
        model.add(keras.layers.Bidirectional(cells) if layer.startswith("bi") else cells)
    model.add(keras.layers.Dense(250, "softmax"))
    given = tf.TensorSpec([1, *shape], tf.float32)
    function = tf.function(model.call, input_signature=[given]).get_concrete_function()
    made: bytes = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()
    return made


if __name__ == "__main__":
    for path, (layer, units, shape) in json.loads(sys.argv[1]).items():
        Path(path).write_bytes(to_tflite(layer, units, tuple(shape)))
