"""Names, titles, notes and needs of tasks, controls, measures and readouts. No torch; analysis may read it."""
