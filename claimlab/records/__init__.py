"""What a judged test leaves behind."""
