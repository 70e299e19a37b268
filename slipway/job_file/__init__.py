"""One job from a file: what it runs, what it asks for, and which files of this machine it reads."""
