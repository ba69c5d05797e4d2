"""What people are asked, where they answer, and what their answers come to."""
