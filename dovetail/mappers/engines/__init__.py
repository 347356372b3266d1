"""Networks laid onto FPGA engines: operators become steps, steps a program of tasks."""
