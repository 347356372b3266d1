"""What attention costs on the attention family: closed forms and the simulated pipeline."""
