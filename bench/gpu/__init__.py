"""What a GPU could do."""
