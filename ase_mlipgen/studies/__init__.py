"""Studies: many trainings, compared with what the theory says of them. Each file is one study and its summary."""
