"""Row-stationary mappings of single layers, as nn-dataflow makes them."""
