"""Hydra ends here: configs are composed, checked and turned into plans of plain values."""
