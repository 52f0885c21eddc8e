"""The application: train, resume, evaluate, compare; plain values in, results out."""
