"""The papers' own figures as CSV. Data only; a module so that the installed package finds them."""
