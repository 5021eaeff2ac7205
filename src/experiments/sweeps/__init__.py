"""Several runs from one command: jobs, groups, the parent run, the leaderboard."""
