"""Figures of a sweep for the programs that others compare runs with: MLflow and TensorBoard."""
