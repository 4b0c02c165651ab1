"""Training phases: LightningModules that hold the networks, the loss and the schedule."""
