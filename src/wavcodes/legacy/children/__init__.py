"""What runs in processes, and maybe interpreters, of its own: in a folder of its own, where these look for imports."""
