"""What tools print while they run, as measured numbers: training steps, collectives, serving results."""
