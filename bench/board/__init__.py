"""The leaderboard: results as a static site."""
