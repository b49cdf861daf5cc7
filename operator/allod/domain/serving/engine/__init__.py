"""What belongs to one engine and version: its flags, its images, the names of its metrics, its downloads."""
