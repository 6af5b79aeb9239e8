"""The driver of the stacks: `lightwork-estate` decides which are touched, and deploys them by Pulumi."""
