"""Training: the loop, one readable step file a method, and what surrounds them."""
