"""The steps, functions over one `Session`: what the tasks call."""
