"""What the program does with one sequence or trajectory, from the files it reads to those it writes."""
