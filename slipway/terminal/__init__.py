"""What a person sees and types: progress, tables, errors."""
