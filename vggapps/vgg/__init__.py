"""The backbone: the paper's networks as data and as modules with named layers."""
