"""Small renderers that draw the sample pictures: brush strokes, dots, carved lines, tiles, landscapes."""
