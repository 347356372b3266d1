"""How task programs are played exactly, and their loops leapt over."""
