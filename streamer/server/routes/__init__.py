"""The routes: what each address of the server answers."""
