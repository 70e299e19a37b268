"""Being told of a run's end: who is told, what is still to be told, and how. Of runs it knows the ids."""
