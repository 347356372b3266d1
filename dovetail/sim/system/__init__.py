"""Systems as SimPy processes: few events, many processes, time in seconds."""
