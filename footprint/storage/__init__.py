"""Storage: the database, its schema and its migrations. All SQL tables are defined here, and all connections opened."""
