"""What is measured of a net: losses, accuracy, parameter counts, and exact functions of one variable."""
