"""What a model's files say about it: pure readers of bytes and parsed JSON, none of which trusts a length that a file claims."""
