"""What can be swapped: the layers, initialisations and optimizers that claims are about."""
