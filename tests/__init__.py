"""Laws of the house and of each room. The folders mirror src/genomed."""
