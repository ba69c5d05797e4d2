"""What somebody else adds to rlhf-curation."""
