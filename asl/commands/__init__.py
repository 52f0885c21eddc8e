"""The `asl` commands: parse, call `asl.runs` or `asl.sweeps`, print."""
