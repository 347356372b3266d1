"""What kernels cost on a GPU: closed forms, and task programs that are simulated exactly."""
