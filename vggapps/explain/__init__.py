"""Why a network says what it says: where in a picture the evidence for a class lies."""
