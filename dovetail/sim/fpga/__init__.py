"""What engines on FPGAs cost: FINN's dataflow nodes, hls4ml's reuse, Edge-MoE's engine."""
