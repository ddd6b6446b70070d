"""What the simulator of LaunchDarkly is made of."""
