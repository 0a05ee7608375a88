"""Numbers from arrays of pictures: no files, no networks, so that training may look at them too."""
