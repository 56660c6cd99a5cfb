"""The page in a browser. A package, so that one browser and one service serve all its tests and end with them."""
