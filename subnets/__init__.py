"""Class-specific subnetworks: where channel gates sit, and how they are learned."""
