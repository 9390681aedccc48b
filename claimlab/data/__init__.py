"""The worlds that claims are tested in: drawn for a block of seeds, or exactly as the deck's notebooks drew them."""
