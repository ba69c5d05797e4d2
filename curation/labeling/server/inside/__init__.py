"""What runs in the server's own environment: nothing here may import the rest of this project."""
