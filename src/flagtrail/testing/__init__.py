"""What a connector is tested with: simulators, faults and the conformance suite."""
