"""Draws the heads of the example faces, with numpy alone: sculpture -> heads -> people -> looks."""
