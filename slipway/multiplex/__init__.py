"""A connection that outlives the command that has logged in; the user's other commands go through it."""
