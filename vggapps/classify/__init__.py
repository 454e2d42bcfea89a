"""Classification with the paper's own protocol, and what can be learnt on top of a network's features."""
