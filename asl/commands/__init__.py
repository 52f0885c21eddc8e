"""What each `asl` command does: the only place, with asl.config, that knows Hydra."""
