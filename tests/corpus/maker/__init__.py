"""What makes the cases of the corpus. Standard library; signatures come from openssl and gpg."""
