"""What a user attaches to atoms: `eam2d.EAM2D` and `linear_ace.LinearACE`, over the contract of `base`."""
