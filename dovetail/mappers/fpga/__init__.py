"""Networks laid onto FPGAs: operators become pipelines of nodes, and nodes are folded."""
