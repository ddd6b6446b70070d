"""What the simulator of ConfigCat is made of."""
