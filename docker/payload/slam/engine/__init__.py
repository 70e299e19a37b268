"""The engines that make a trajectory of a sequence, each in a process of its own."""
