"""Training signals: what a run's steps tell of its speed and its gradients, as plain numbers."""
