"""A design as files: RTL, program, test bench and what they must answer, in one folder."""
