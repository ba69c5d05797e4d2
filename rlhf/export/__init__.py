"""From an artifact in the store to a folder that works on its own: adapters, merged weights, tokenizer and a card."""
