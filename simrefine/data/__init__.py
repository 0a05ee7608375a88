"""Folders of picture files in, checked pictures and batches out."""
