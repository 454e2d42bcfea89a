"""Losses: functions of features, and of the moments of features."""
