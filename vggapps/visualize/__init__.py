"""What a layer, a channel or a class looks for: pictures made for it, and pictures that it was found in."""
