"""Fair comparisons: agents x hyperparameter draws x seeds, at equal evaluations and seconds."""
