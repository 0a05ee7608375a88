"""A trained refiner and a folder of renders in, a folder of refined pictures with the same labels out."""
