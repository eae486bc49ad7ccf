"""Work on a finished layer outside of any job: merged, exported to ONNX, quantised, uploaded."""
