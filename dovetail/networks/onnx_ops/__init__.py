"""What each ONNX operator means: its shapes, its operators, its value where it is constant."""
