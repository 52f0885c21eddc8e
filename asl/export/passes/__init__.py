"""Changes to a TFLite model, each a function on one tree of objects (`flatbuffer.parse`)."""
