"""What a claim module declares, and the rules it keeps."""
