"""What a job's figures mean: arms beside one another, the budget curve, which datasets helped, and plain sentences."""
