"""Small networks and linear heads under a loss that can be chosen."""
