"""The verifier that goes into every bag, in parts; the service checks with the very same code."""
