"""Network architectures, nothing else."""
